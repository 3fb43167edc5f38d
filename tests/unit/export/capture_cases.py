"""What a notebook may hold, and what an export makes of it: the cases, as data.

Each is run cell by cell in a real IPython shell. The docs' table is made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

START = "import polars as pl\nimport streamlab as sl\n"


@dataclass(frozen=True)
class Case:
    """One thing that a notebook holds.

    Attributes:
        name: A name for the test.
        holds: What is in the notebook, in the words of the docs.
        cells: Run in order, after ``import polars as pl`` and ``import streamlab as sl``.
        carries: Texts that the generated module has.
        lacks: Texts that it does not have.
        refused: A part of the sentence that it is refused with; "" if it is carried.
        files: Files that lie beside the notebook.
        copies: Files of the package's module that are copied.
        transforms: Names of the transforms of the pipeline.
        secret: A value that must not be in any problem.
    """

    name: str
    holds: str
    cells: tuple[str, ...]
    carries: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    refused: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ("delayed",)
    secret: str = ""


def late(than: str) -> str:
    """Return the cell of a transform that keeps flights later than something."""
    return (
        "@sl.transform\n"
        "def delayed(flights):\n"
        f'    return flights.filter(pl.col("arr_delay") > {than})\n'
    )


def add(expression: str) -> str:
    """Return the cell of a transform that adds a column."""
    return (
        "@sl.transform\n"
        "def delayed(flights):\n"
        f"    return flights.with_columns(extra={expression})\n"
    )


TOKEN = "hunter2-hunter2"  # what no problem may show


CASES: tuple[Case, ...] = (
    # Imports
    Case(
        "import-alias",
        "`import datetime as dt`, used in a function",
        ("import datetime as dt\nimport os", add("pl.lit(dt.date(2024, 1, 5))")),
        ("import datetime as dt\n",),
        ("import os",),
    ),
    Case(
        "import-from-alias",
        "`from datetime import timedelta as span`",
        (
            "from datetime import timedelta as span",
            add("pl.lit(span(minutes=5))"),
        ),
        ("from datetime import timedelta as span\n",),
    ),
    Case(
        "import-star",
        "`from math import *`, of which `ceil` is used",
        ("from math import *", late("ceil(9.5)")),
        ("from math import ceil\n",),
        ("*",),
    ),
    Case(
        "import-star-constant",
        "`from math import *`, of which `pi` is used",
        ("from math import *", late("pi")),
        ("from math import pi\n",),
        ("3.14",),
    ),
    Case(
        "import-submodule",
        "`import xml.etree.ElementTree`, used by its full name",
        (
            "import xml.etree.ElementTree",
            add("pl.lit(xml.etree.ElementTree.VERSION)"),
        ),
        ("import xml.etree.ElementTree\n",),
    ),
    Case(
        "import-conditional",
        "an import under `try`, with another in `except ImportError`",
        (
            "try:\n    import no_such_json as json\nexcept ImportError:\n    import json",
            add('pl.lit(json.dumps({"a": 1}))'),
        ),
        ("import json\n",),
        ("no_such_json",),
    ),
    Case(
        "import-in-the-function",
        "an import inside of the function",
        (
            "@sl.transform\n"
            "def delayed(flights):\n"
            "    import math\n"
            "\n"
            '    return flights.filter(pl.col("arr_delay") > math.pi)\n',
        ),
        ("    import math\n",),
    ),
    Case(
        "import-of-a-name-that-was-rebound",
        "a name that was imported, and assigned later",
        ("from math import pi as LIMIT", "LIMIT = 30", late("LIMIT")),
        ("LIMIT = 30\n",),
        ("math",),
    ),
    Case(
        "import-of-notebook-code",
        "a function of IPython",
        ("from IPython.display import HTML", add('pl.lit(str(HTML("a")))')),
        refused="HTML, used by delayed (In[2]): IPython works only in a notebook; take it out",
    ),
    # Constants
    Case(
        "constant",
        "`LATE = 15  # minutes`",
        ("LATE = 15  # minutes", late("LATE")),
        ("LATE = 15  # minutes\n",),
    ),
    Case(
        "constant-rerun",
        "a cell `LATE = 15` that was edited to `LATE = 30` and run again",
        ("LATE = 15", late("LATE"), "LATE = 30  # be patient"),
        ("LATE = 30  # be patient\n",),
        ("LATE = 15",),
    ),
    Case(
        "constant-mutated",
        "a list that a later cell appended to",
        (
            'CARRIERS = ["UA"]',
            'CARRIERS.append("AA")',
            '@sl.transform\ndef delayed(flights):\n    return flights.filter(pl.col("carrier").is_in(CARRIERS))\n',
        ),
        ('CARRIERS = ["UA", "AA"]\n',),
    ),
    Case(
        "constant-augmented",
        "a number that `+=` changed",
        ("LATE = 10", "LATE += 5", late("LATE")),
        ("LATE = 15\n",),
    ),
    Case(
        "constant-from-a-loop",
        "a dictionary that a `for` loop filled",
        (
            "NAMES = {}\nfor code in ['UA', 'AA']:\n    NAMES[code] = code.lower()",
            add('pl.col("carrier").replace_strict(NAMES, default="other")'),
        ),
        ('NAMES = {"UA": "ua", "AA": "aa"}\n',),
    ),
    Case(
        "constant-from-a-comprehension",
        "a set that a comprehension made",
        (
            "CARRIERS = {c.upper() for c in ('ua', 'aa', 'b6')}",
            add('pl.col("carrier").is_in(CARRIERS)'),
        ),
        ('CARRIERS = {"AA", "B6", "UA"}\n',),
    ),
    Case(
        "constant-under-if",
        "a number that was assigned under `if`",
        ("if True:\n    LATE = 15\nelse:\n    LATE = 30", late("LATE")),
        ("LATE = 15\n",),
    ),
    Case(
        "constant-of-constants",
        "`LIMIT = HOURS * 60`",
        ("HOURS = 0.25", "LIMIT = HOURS * 60  # minutes", late("LIMIT")),
        ("HOURS = 0.25\nLIMIT = HOURS * 60  # minutes\n",),
    ),
    Case(
        "constant-of-a-changed-constant",
        "the same, and `HOURS` was changed afterwards",
        ("HOURS = 0.25", "LIMIT = HOURS * 60", "HOURS = 2", late("LIMIT")),
        ("LIMIT = 15.0\n",),
        ("HOURS",),
    ),
    Case(
        "constant-walrus",
        "`(LATE := 15)`",
        ("print(LATE := 15)", late("LATE")),
        ("LATE = 15\n",),
    ),
    Case(
        "constant-unpacked",
        "`LOW, HIGH = 10, 60`",
        ("LOW, HIGH = 10, 60", late("LOW")),
        ("LOW = 10\n",),
        ("HIGH",),
    ),
    Case(
        "constant-f-string",
        "an f-string of other constants",
        ('UNIT = "min"\nNAME = f"late_{UNIT}"', add("pl.lit(NAME)")),
        ('UNIT = "min"\nNAME = f"late_{UNIT}"\n',),
    ),
    Case(
        "constant-unicode",
        "a name outside of ASCII: `verspätet = 15`",
        ("verspätet = 15", late("verspätet")),
        ("verspätet = 15\n",),
    ),
    Case(
        "constant-shadowing-a-builtin",
        "a constant named like a builtin: `max = 15`",
        ("max = 15", late("max")),
        ("max = 15\n",),
    ),
    Case(
        "constant-annotated",
        "`LATE: int = 15`",
        ("LATE: int = 15", late("LATE")),
        ("LATE: int = 15\n",),
    ),
    Case(
        "constant-timedelta",
        "`SPAN = timedelta(minutes=5)`",
        (
            "from datetime import timedelta\n\nSPAN = timedelta(minutes=5)",
            add("pl.lit(SPAN)"),
        ),
        ("from datetime import timedelta\n", "SPAN = timedelta(minutes=5)\n"),
    ),
    Case(
        "constant-date-in-a-list",
        "a list of `date(…)`, appended to",
        (
            "import datetime as dt\n\nDAYS = [dt.date(2024, 1, 1)]",
            "DAYS.append(dt.date(2024, 12, 25))",
            add("pl.lit(len(DAYS)) + pl.lit(DAYS[1].day)"),
        ),
        ("DAYS = [dt.date(2024, 1, 1), dt.date(2024, 12, 25)]\n",),
    ),
    Case(
        "constant-decimal",
        '`RATE = Decimal("1.10")`',
        (
            'from decimal import Decimal\n\nRATE = Decimal("1.10")',
            add("pl.lit(float(RATE))"),
        ),
        ('RATE = Decimal("1.10")\n',),
    ),
    Case(
        "constant-pattern",
        '`CODE = re.compile("[A-Z]+")`',
        ('import re\n\nCODE = re.compile("[A-Z]+")', add("pl.lit(CODE.pattern)")),
        ('CODE = re.compile("[A-Z]+")\n',),
    ),
    Case(
        "constant-relative-path",
        '`FOLDER = Path("data")`, a relative path',
        ('from pathlib import Path\n\nFOLDER = Path("data")', add("pl.lit(FOLDER.name)")),
        ('FOLDER = Path("data")\n',),
    ),
    Case(
        "constant-infinity",
        '`LIMIT = float("inf")`',
        ('LIMIT = float("inf")', late("-LIMIT")),
        ('LIMIT = float("inf")\n',),
    ),
    Case(
        "constant-frozenset",
        "a `frozenset`",
        (
            'CARRIERS = frozenset({"UA"})',
            add('pl.col("carrier").is_in(list(CARRIERS))'),
        ),
        ('CARRIERS = frozenset({"UA"})\n',),
    ),
    Case(
        "constant-dtypes",
        "a dictionary of polars types",
        (
            'TYPES = {"arr_delay": pl.Int64}\nTYPES["carrier"] = pl.String',
            "@sl.transform\ndef delayed(flights):\n    return flights.cast(TYPES)\n",
        ),
        ('TYPES = {"arr_delay": pl.Int64, "carrier": pl.String}\n',),
    ),
    Case(
        "constant-schema",
        "a `pl.Schema`",
        (
            'SCHEMA = pl.Schema({"arr_delay": pl.Int64})',
            "@sl.transform\ndef delayed(flights):\n    return flights.cast(dict(SCHEMA))\n",
        ),
        ('SCHEMA = pl.Schema({"arr_delay": pl.Int64})\n',),
    ),
    Case(
        "constant-expression",
        'a polars expression: `is_late = pl.col("arr_delay") > LATE`',
        (
            'LATE = 15\nis_late = pl.col("arr_delay") > LATE',
            "@sl.transform\ndef delayed(flights):\n    return flights.filter(is_late)\n",
        ),
        ('LATE = 15\nis_late = pl.col("arr_delay") > LATE\n',),
    ),
    Case(
        "constant-expression-outdated",
        "the same, and `LATE` was changed afterwards",
        (
            'LATE = 15\nis_late = pl.col("arr_delay") > LATE',
            "LATE = 30",
            "@sl.transform\ndef delayed(flights):\n    return flights.filter(is_late)\n",
        ),
        refused="is_late, used by delayed (In[4]): a polars expression; write it inside of the function",
    ),
    Case(
        "constant-partly-run",
        "an assignment in a cell that failed before it",
        ("LATE = 15", "try:\n    1 / 0\n    LATE = 30\nexcept ZeroDivisionError:\n    pass", late("LATE")),
        refused="LATE, used by delayed (In[4]): has another value than its statement; run that cell again",
    ),
    Case(
        "constant-out-of-order",
        "cells that were run out of order",
        (late("LATE + MORE"), "MORE = LATE", "LATE = 15", "MORE = LATE"),
        ("LATE = 15\nMORE = LATE\n",),
    ),
    Case(
        "constant-type-alias",
        "a type alias: `Delay = int | float`",
        (
            "Delay = int | float",
            "def limit() -> Delay:\n    return 15",
            late("limit()"),
        ),
        ("Delay = int | float\n",),
    ),
    Case(
        "constant-class-alias",
        "a short name of an installed class: `Frame = pl.LazyFrame`",
        (
            "Frame = pl.LazyFrame",
            "@sl.transform\ndef delayed(flights: Frame) -> Frame:\n    return flights.head(2)\n",
        ),
        ("Frame = pl.LazyFrame\n",),
    ),
    Case(
        "constant-named-tuple",
        "`Limit = namedtuple(…)` and a value of it",
        (
            'from collections import namedtuple\n\nLimit = namedtuple("Limit", ["low"])\nLIMIT = Limit(15)',
            late("LIMIT.low"),
        ),
        ('Limit = namedtuple("Limit", ["low"])\nLIMIT = Limit(15)\n',),
    ),
    Case(
        "constant-of-a-call",
        "a value that a function of the notebook computed",
        ("def limit():\n    return 15", "LATE = limit()", late("LATE")),
        refused="LATE, used by delayed (In[4]): was computed by a call of limit (In[3]); write its value, or compute it in the function",
    ),
    Case(
        "constant-of-the-clock",
        "`TODAY = date.today().isoformat()`",
        ("from datetime import date\n\nTODAY = date.today().isoformat()", add("pl.lit(TODAY)")),
        refused="was computed by a call of today (In[2]); write its value, or compute it in the function",
    ),
    Case(
        "constant-of-a-sample",
        "a number that was computed from data",
        ('LATE = pl.read_csv(b"a\\n15")["a"].max()', late("LATE")),
        refused="was computed by a call of max (In[2]); write its value",
    ),
    Case(
        "constant-nobody-assigned",
        "a name that no cell assigns: `%store -r`, `exec`",
        ('exec("LATE = 15")', late("LATE")),
        refused="LATE, used by delayed (In[3]): came from somewhere that no cell tells; make it a parameter",
    ),
    Case(
        "constant-papermill",
        "a value of papermill's injected cell",
        ("LATE = 15", "# Parameters\nLATE = 30\n", late("LATE")),
        ("LATE = 30\n",),
    ),
    # Values of this machine
    Case(
        "environment",
        '`os.environ["X"]`',
        ('import os\n\nMODE = os.environ["CAPTURE_MODE"]', add("pl.lit(MODE)")),
        refused="MODE, used by delayed (In[3]): came from the environment (In[2]); make it a parameter",
        secret=TOKEN,
    ),
    Case(
        "environment-default",
        '`os.environ.get("X", "fast")`, `os.getenv("X")`',
        (
            'from os import environ as env, getenv\n\nMODE = env.get("NO", "a") + getenv("CAPTURE_MODE")',
            add("pl.lit(MODE)"),
        ),
        refused="MODE, used by delayed (In[3]): came from the environment (In[2])",
        secret=TOKEN,
    ),
    Case(
        "environment-derived",
        "a value derived from one over several names and cells",
        (
            'import os\n\na = os.environ["CAPTURE_MODE"]',
            'b = a + "/x"\na = "gone"\ndel os',
            'parts = [*b.split("-")]\nMODE = parts[0]',
            add("pl.lit(MODE)"),
        ),
        refused="MODE, used by delayed (In[5]): came from the environment (In[2]); make it a parameter",
        secret="hunter2",
    ),
    Case(
        "environment-in-a-container",
        "a dictionary that was given one by a method, or by key",
        (
            'import os\n\nCONF = {"mode": "fast"}',
            'CONF["mode"] = os.environ["CAPTURE_MODE"]',
            add('pl.lit(CONF["mode"])'),
        ),
        refused="CONF, used by delayed (In[4]): came from the environment (In[3])",
        secret=TOKEN,
    ),
    Case(
        "environment-through-a-function",
        "a list that a function put one into",
        (
            'import os\n\n\ndef load(into):\n    into.append(os.environ["CAPTURE_MODE"])',
            "CONF = []\nload(CONF)",
            add("pl.lit(CONF[0])"),
        ),
        refused="CONF, used by delayed (In[4]): came from the environment (In[2])",
        secret=TOKEN,
    ),
    Case(
        "environment-in-a-magic-cell",
        "one that was assigned in a `%%time` cell",
        ('LATE = "x"', '%%time\nimport os\nLATE = os.environ["CAPTURE_MODE"]', add("pl.lit(LATE)")),
        refused="LATE, used by delayed (In[4]): came from the environment (In[3])",
        secret=TOKEN,
    ),
    Case(
        "environment-in-a-default",
        "a default that came from one",
        (
            'import os\n\n\ndef mode(name=os.environ["CAPTURE_MODE"]):\n    return name',
            add("pl.lit(mode())"),
        ),
        refused="mode (In[2]): the default of name came from the environment (In[2])",
        secret=TOKEN,
    ),
    Case(
        "environment-in-a-class",
        "a class attribute that came from one",
        (
            'import os\n\n\nclass Conf:\n    mode = os.environ["CAPTURE_MODE"]',
            add("pl.lit(Conf.mode)"),
        ),
        refused="Conf (In[2]): a value in it came from the environment (In[2])",
        secret=TOKEN,
    ),
    Case(
        "environment-in-a-frame",
        "a frame that one was put into",
        (
            'import os\n\nplanes = pl.DataFrame({"carrier": [os.environ["CAPTURE_MODE"]]})',
            '@sl.transform\ndef delayed(flights):\n    return flights.join(planes.lazy(), on="carrier")\n',
        ),
        refused="planes, used by delayed (In[3]): a frame with a value that came from the environment (In[2])",
        secret=TOKEN,
    ),
    Case(
        "environment-magic",
        "`X = %env NAME`",
        ("MODE = %env CAPTURE_MODE", add("pl.lit(MODE)")),
        refused="MODE, used by delayed (In[3]): came from a % or ! command (In[2])",
        secret=TOKEN,
    ),
    Case(
        "environment-replaced",
        "a name that had such a value and was given a literal since",
        ('import os\n\nMODE = os.environ["CAPTURE_MODE"]', 'MODE = "fast"', add("pl.lit(MODE)")),
        ('MODE = "fast"\n',),
    ),
    Case(
        "environment-at-run-time",
        "a function that reads the environment when it runs",
        (
            'import os\n\n\ndef mode():\n    return os.environ.get("CAPTURE_MODE", "")',
            add("pl.lit(mode())"),
        ),
        ('    return os.environ.get("CAPTURE_MODE", "")\n',),
        (TOKEN,),
    ),
    Case(
        "shell-command",
        "`files = !ls`",
        ("files = !echo 15", add("pl.lit(files[0])")),
        refused="files, used by delayed (In[3]): came from a % or ! command (In[2]); make it a parameter",
    ),
    Case(
        "shell-output-derived",
        "a number taken from a shell command",
        ('LATE = int(get_ipython().getoutput("echo 15")[0])', late("LATE")),
        refused="LATE, used by delayed (In[3]): came from a % or ! command (In[2])",
    ),
    Case(
        "prompt",
        "`input()`",
        ("def input(prompt):\n    return '15'\n", "LATE = int(input('minutes: '))", late("LATE")),
        refused="LATE, used by delayed (In[4]): came from a prompt (In[3])",
    ),
    Case(
        "settings",
        "a value of streamlab's settings",
        (
            "from streamlab.settings import Settings\n\nNAME = str(Settings)",
            add("pl.lit(NAME)"),
        ),
        refused="NAME, used by delayed (In[3]): came from the settings (In[2])",
    ),
    Case(
        "secret-name",
        "a constant that is named like a secret",
        (f'API_TOKEN = "{TOKEN}"', add("pl.lit(API_TOKEN)")),
        refused="API_TOKEN, used by delayed (In[3]): is named like a secret",
        secret=TOKEN,
    ),
    Case(
        "secret-in-the-body",
        "a secret inside of a function",
        (
            f'@sl.transform\ndef delayed(flights):\n    password = "{TOKEN}"\n    return flights.with_columns(extra=pl.lit(password))\n',
        ),
        refused="delayed (In[2]): line 3: password is named like a secret",
        secret=TOKEN,
    ),
    Case(
        "secret-in-a-key",
        "a secret in a dictionary",
        (f'CONF = {{"password": "{TOKEN}"}}', add("pl.lit(len(CONF))")),
        refused="CONF, used by delayed (In[3]): is named like a secret",
        secret=TOKEN,
    ),
    Case(
        "absolute-path",
        "a path of this machine",
        ('DATA = ["/home/me/data.csv"]', add("pl.lit(len(DATA))")),
        refused="DATA, used by delayed (In[3]): is a path of this machine",
        secret="/home/me",
    ),
    # Functions
    Case(
        "function",
        "a helper with a comment above it",
        (
            '# Minutes that are late.\ndef limit() -> int:\n    """Return minutes."""\n    return 15  # as people say\n',
            late("limit()"),
        ),
        ('# Minutes that are late.\ndef limit() -> int:\n    """Return minutes."""\n    return 15  # as people say\n',),
    ),
    Case(
        "function-rerun",
        "a helper whose cell was edited and run again",
        ("def limit():\n    return 1", late("limit()"), "def limit():\n    return 20"),
        ("    return 20\n",),
        ("    return 1\n",),
    ),
    Case(
        "function-late-bound",
        "a helper that was defined after its user",
        (late("limit()"), "def limit():\n    return LATE", "LATE = 15"),
        ("LATE = 15\n", "def limit():\n    return LATE\n"),
    ),
    Case(
        "function-deleted",
        "a helper that was deleted since",
        ("def limit():\n    return 1", late("limit()"), "del limit"),
        refused="limit, used by delayed (In[3]): it is not defined",
    ),
    Case(
        "function-rebound",
        "a name that was a function and is a number now",
        ("def limit():\n    return 1", "limit = 15", late("limit")),
        ("limit = 15\n",),
        ("def limit",),
    ),
    Case(
        "function-recursive",
        "recursion, also of two functions",
        (
            "def even(n):\n    return n == 0 or odd(n - 1)",
            "def odd(n):\n    return n != 0 and even(n - 1)",
            add("pl.lit(even(4))"),
        ),
        ("def even(n):\n", "def odd(n):\n"),
    ),
    Case(
        "function-alias",
        "another name of a function: `h = g`",
        ("def g():\n    return 15", "h = g", late("h()")),
        ("def g():\n    return 15\n\n\nh = g\n",),
    ),
    Case(
        "function-alias-rebound",
        "the same, and `g` was defined anew afterwards",
        ("def g():\n    return 15", "h = g", "def g():\n    return 1", late("h() + g()")),
        ("def h():\n    return 15\n", "def g():\n    return 1\n"),
    ),
    Case(
        "function-of-a-method",
        "a method that was bound to a name: `upper = str.upper`",
        ('upper = "ua".upper', add("pl.lit(upper())")),
        refused="upper, used by delayed (In[3]): a method that was bound to a name; call it by its full name",
    ),
    Case(
        "function-under-if",
        "a function that was defined under `if`",
        ("if True:\n\n    def limit():\n        return 15\n", late("limit()")),
        ("def limit():\n    return 15\n",),
    ),
    Case(
        "function-of-exec",
        "a function that `exec` made",
        ('exec("def limit(): return 15")', late("limit()")),
        refused="limit: its source is not known; define it in a cell or a file (code run by exec has no source)",
    ),
    Case(
        "function-of-a-timed-cell",
        "a function that was defined in a `%%time` cell",
        ("%%time\ndef limit():\n    return 15\n", late("limit()")),
        ("def limit():\n    return 15\n",),
    ),
    Case(
        "function-in-a-cell-with-magics",
        "a function in a cell with `%` and `!` elsewhere in it",
        ("%env -h\n!true\ndef limit():\n    return 15\n", late("limit()")),
        ("def limit():\n    return 15\n",),
        ("get_ipython",),
    ),
    Case(
        "function-with-a-magic",
        "a function that uses `%` or `!` itself",
        ("def limit():\n    !true\n    return 15\n", late("limit()")),
        refused="get_ipython, used by limit (In[2]): a % or ! command works only in a notebook; write it in Python",
    ),
    Case(
        "function-displaying",
        "a function that calls `display`",
        ("def limit():\n    display(1)\n    return 15\n", late("limit()")),
        refused="display, used by limit (In[2]): works only in a notebook; take it out",
    ),
    Case(
        "function-writing-a-global",
        "a function that assigns a global",
        ("COUNT = 0", "def limit():\n    global COUNT\n    COUNT += 1\n    return 15\n", late("limit()")),
        refused="limit (In[3]): changes the global 'COUNT'; a worker's epochs share nothing",
    ),
    Case(
        "function-changing-a-global",
        "a function that appends to a global list",
        ("SEEN = []", "def limit():\n    SEEN.append(1)\n    return 15\n", late("limit()")),
        refused="limit (In[3]): changes the global 'SEEN'; a worker's epochs share nothing",
    ),
    Case(
        "function-async",
        "a coroutine: `async def`",
        ("async def limit():\n    return 15\n", add("pl.lit(limit.__name__)")),
        refused="limit: it is a coroutine (async def); write it with def",
    ),
    Case(
        "function-reading-a-file",
        '`pl.read_csv("planes.csv")` in a function',
        ('@sl.transform\ndef delayed(flights):\n    planes = pl.scan_csv("planes.csv")\n    return flights.join(planes, on="carrier")\n',),
        refused="delayed (In[2]): line 3: reads a file; declare it as a table: @sl.transform(tables={…})",
    ),
    Case(
        "function-default",
        "a default that is a constant, which was changed afterwards",
        ("LATE = 15", "def limit(minutes=LATE):\n    return minutes", "LATE = 30", late("limit()")),
        ("def limit(minutes=15):\n",),
        ("LATE",),
    ),
    Case(
        "function-default-constant",
        "a default that is a constant",
        ("LATE = 15", "def limit(minutes=LATE):\n    return minutes", late("limit()")),
        ("LATE = 15\n", "def limit(minutes=LATE):\n"),
    ),
    Case(
        "function-default-mutated",
        "a list as a default, which was changed by calls",
        ("def limits(seen=[]):\n    return [*seen, 15]", "limits.__defaults__[0].append(1)", late("max(limits())")),
        ("def limits(seen=[1]):\n",),
    ),
    Case(
        "function-annotations",
        "annotations, also as texts: `list[\"Limit\"]`",
        (
            "from typing import Literal, Optional\n\nMinutes = int",
            'def limit(of: Optional["Minutes"] = None, by: Literal["x"] = "x") -> "list[Minutes]":\n    return [15]',
            late("limit()[0]"),
        ),
        ("from typing import Literal, Optional\n", "Minutes = int\n"),
    ),
    Case(
        "function-future-annotations",
        "`from __future__ import annotations`",
        (
            "from __future__ import annotations",
            "class Limit:\n    minutes = 15",
            "def limit(of: Limit | None = None) -> int:\n    return 15",
            late("limit()"),
        ),
        ("from __future__ import annotations\n", "class Limit:\n"),
    ),
    Case(
        "function-names-everywhere",
        "names in f-strings, nested comprehensions, lambdas and nested functions",
        (
            'A, B, C, D, E = 1, 2, 3, 4, "e"',
            "def limit():\n"
            "    def inner():\n"
            "        return [[A + x for x in range(B)] for y in range(C)]\n"
            "\n"
            "    text = f\"{inner()} {(lambda: D)()} {'%s' % f'{E}'}\"\n"
            "    return len(text)\n",
            late("limit() - 20"),
        ),
        ("A = 1\nB = 2\nC = 3\nD = 4\nE = \"e\"\n",),
    ),
    Case(
        "function-local-shadows",
        "a local name like a global one",
        ("rows = object()", "def limit():\n    rows = 15\n    return rows", late("limit()")),
        ("    rows = 15\n",),
    ),
    # Decorators
    Case(
        "decorator-of-a-library",
        "`@functools.lru_cache`",
        ("import functools", "@functools.lru_cache(maxsize=8)\ndef limit():\n    return 15", late("limit()")),
        ("import functools\n", "@functools.lru_cache(maxsize=8)\ndef limit():\n"),
    ),
    Case(
        "decorator-of-the-notebook",
        "a decorator of the notebook, with `functools.wraps`",
        (
            "import functools",
            "def double(function):\n    @functools.wraps(function)\n    def wrapper():\n        return 2 * function()\n\n    return wrapper",
            "@double\ndef limit():\n    return 8",
            late("limit()"),
        ),
        ("import functools\n", "def double(function):\n", "@double\ndef limit():\n    return 8\n"),
    ),
    Case(
        "decorator-without-wraps",
        "a decorator without `functools.wraps`, which takes arguments",
        (
            "def times(factor):\n    def around(function):\n        def wrapper():\n            return factor * function()\n\n        return wrapper\n\n    return around",
            "FACTOR = 2",
            "@times(FACTOR)\ndef limit():\n    return 8",
            late("limit()"),
        ),
        ("FACTOR = 2\n", "@times(FACTOR)\ndef limit():\n"),
    ),
    Case(
        "decorator-argument-changed",
        "the same, and its argument was changed afterwards",
        (
            "def times(factor):\n    def around(function):\n        return lambda: factor * function()\n\n    return around",
            "FACTOR = 2",
            "@times(FACTOR)\ndef limit():\n    return 8",
            "FACTOR = 3",
            late("limit()"),
        ),
        refused="limit (In[4]): FACTOR of its decorator was changed since; run its cell again",
    ),
    Case(
        "decorator-redefined",
        "a decorator that was defined anew afterwards",
        (
            "def double(function):\n    return lambda: 2 * function()",
            "@double\ndef limit():\n    return 8",
            "def double(function):\n    return lambda: 3 * function()",
            late("limit()"),
        ),
        refused="limit (In[3]): its decorator was changed since; run its cell again",
    ),
    Case(
        "decorator-by-assignment",
        "`limit = functools.lru_cache(limit)`",
        ("import functools", "def limit():\n    return 15", "limit = functools.lru_cache(limit)", late("limit()")),
        refused="limit (In[3]): it was wrapped after it was defined; write the wrapper as a decorator",
    ),
    Case(
        "decorator-singledispatch",
        "`functools.singledispatch` with what was registered",
        (
            "import functools",
            "@functools.singledispatch\ndef limit(of):\n    return 1",
            "@limit.register\ndef _(of: int):\n    return 15",
            late("limit(1)"),
        ),
        ("@functools.singledispatch\ndef limit(of):\n", "@limit.register\ndef _(of: int):\n    return 15\n"),
    ),
    # Lambdas, partials, closures
    Case(
        "lambda",
        "`limit = lambda x: x + LATE`",
        ("LATE = 10", "limit = lambda x, y=2: x + y + LATE", late("limit(3)")),
        ("def limit(x, y=2):\n    return x + y + LATE\n",),
    ),
    Case(
        "lambda-in-a-list",
        "a lambda in a list or dictionary",
        ('LIMITS = {"a": lambda: 15}', late('LIMITS["a"]()')),
        refused="LIMITS, used by delayed (In[3]): holds <lambda>, which no name leads to",
    ),
    Case(
        "partial",
        "`functools.partial` of a function, with literals",
        (
            "from functools import partial\n\n\ndef limit(a, b):\n    return a + b",
            "fifteen = partial(limit, 10, b=5)",
            late("fifteen()"),
        ),
        ("def limit(a, b):\n", "fifteen = partial(limit, 10, b=5)\n"),
    ),
    Case(
        "partial-rebound",
        "the same, and the function was defined anew afterwards",
        (
            "from functools import partial\n\n\ndef limit(a):\n    return a",
            "fifteen = partial(limit, 15)",
            "def limit(a):\n    return a + 1",
            late("fifteen()"),
        ),
        refused="fifteen, used by delayed (In[5]): holds limit, which no name leads to; give it one",
    ),
    Case(
        "closure",
        "a closure: `limit = adder(5)`",
        (
            "def adder(n, unit=1):\n    def add(x):\n        return (x + n) * unit\n\n    return add",
            "limit = adder(5)\nmore = adder(7)",
            late("limit(3) + more(0)"),
        ),
        ("def adder(n, unit=1):\n", "limit = adder(5)\nmore = adder(7)\n"),
    ),
    Case(
        "closure-of-a-changed-value",
        "the same, and the value was changed afterwards",
        ("def adder(n):\n    return lambda x: x + n", "N = 5\nlimit = adder(N)\nN = 6", late("limit(3)")),
        ("limit = adder(5)\n",),
    ),
    Case(
        "closure-with-state",
        "a closure that counts",
        (
            "def counter(n):\n    def count():\n        nonlocal n\n        n += 1\n        return n\n\n    return count",
            "limit = counter(5)",
            late("limit()"),
        ),
        refused="limit (In[2]): changes 'n' from call to call; a worker's epochs share nothing",
    ),
    Case(
        "closure-that-computes",
        "a closure whose factory does more",
        (
            "def adder(n):\n    m = n * 2\n\n    def add(x):\n        return x + m\n\n    return add",
            "limit = adder(5)",
            late("limit(3)"),
        ),
        refused="limit (In[2]): uses 'm' of the function around it, which does more than return it; make each a parameter, or a global constant",
    ),
    Case(
        "closure-of-the-environment",
        "a closure over a value of the environment",
        (
            'import os\n\n\ndef adder(n):\n    return lambda x: x + n',
            'limit = adder(os.environ["CAPTURE_MODE"])',
            add('pl.lit(limit("a"))'),
        ),
        refused="limit (In[2]): a value that it closes over came from the environment (In[3])",
        secret=TOKEN,
    ),
    # Classes
    Case(
        "class",
        "a class with methods and attributes",
        (
            "LATE = 15",
            "# Limits of delay.\nclass Limit:\n    minutes = LATE\n\n    def __init__(self, more=0):\n        self.more = more\n\n    def value(self):\n        return self.minutes + self.more",
            late("Limit(1).value()"),
        ),
        ("LATE = 15\n", "# Limits of delay.\nclass Limit:\n    minutes = LATE\n"),
    ),
    Case(
        "class-inherited",
        "a class that inherits from another of the notebook",
        (
            "class Base:\n    def value(self):\n        return 10",
            "class Limit(Base):\n    def value(self):\n        return super().value() + 5",
            late("Limit().value()"),
        ),
        ("class Base:\n", "class Limit(Base):\n"),
    ),
    Case(
        "class-dataclass",
        "a dataclass and a value of it",
        (
            "from dataclasses import dataclass, field\n\n\n@dataclass(frozen=True)\nclass Limit:\n    minutes: int = 15\n    names: list[str] = field(default_factory=list)",
            'LIMIT = Limit(20, ["a"])',
            late("LIMIT.minutes"),
        ),
        ("@dataclass(frozen=True)\nclass Limit:\n", 'LIMIT = Limit(20, ["a"])\n'),
    ),
    Case(
        "class-enum",
        "an enum and a member of it",
        (
            'from enum import Enum\n\n\nclass Carrier(Enum):\n    UNITED = "UA"\n    AMERICAN = "AA"',
            "MINE = Carrier.UNITED",
            add('pl.col("carrier") == MINE.value'),
        ),
        ("class Carrier(Enum):\n", "MINE = Carrier.UNITED\n"),
    ),
    Case(
        "class-named-tuple",
        "a `NamedTuple`",
        (
            "from typing import NamedTuple\n\n\nclass Limit(NamedTuple):\n    low: int = 15",
            late("Limit().low"),
        ),
        ("class Limit(NamedTuple):\n    low: int = 15\n",),
    ),
    Case(
        "class-rerun",
        "a class that two cells define",
        (
            "class Limit:\n    minutes = 1",
            "class Limit:\n    minutes = 15",
            late("Limit.minutes"),
        ),
        ("class Limit:\n    minutes = 15\n",),
        ("minutes = 1\n",),
    ),
    Case(
        "class-of-an-earlier-cell",
        "the same, and the second cell failed before it",
        (
            "class Limit:\n    minutes = 15",
            "try:\n    1 / 0\n\n    class Limit:\n        minutes = 1\nexcept ZeroDivisionError:\n    pass",
            late("Limit.minutes"),
        ),
        ("class Limit:\n    minutes = 15\n",),
    ),
    Case(
        "class-attribute-changed",
        "a class attribute that was changed afterwards",
        ("class Limit:\n    minutes = 15", "Limit.minutes = 30", late("Limit.minutes")),
        refused="its minutes was changed since; write the value into the class",
    ),
    Case(
        "class-method-added",
        "a method that was put into a class afterwards",
        (
            "class Limit:\n    def low(self):\n        return 15",
            "def high(self):\n    return 30\n\n\nLimit.high = high",
            late("Limit().high()"),
        ),
        refused="high was put into it after it was defined; write it in the class",
    ),
    Case(
        "class-in-a-function",
        "a class that was made inside of a function",
        (
            "def make():\n    class Limit:\n        minutes = 15\n\n    return Limit",
            "Limit = make()",
            late("Limit.minutes"),
        ),
        refused="it is a class inside of a function or class; define it at the top",
    ),
    Case(
        "class-and-function-of-each-other",
        "a class and a function that need each other",
        (
            "class Limit:\n    def value(self):\n        return default().minutes\n\n    minutes = 15",
            "def default(of=Limit):\n    return of()",
            late("Limit().value()"),
        ),
        ("class Limit:\n", "def default(of=Limit):\n"),
    ),
    Case(
        "object",
        "an object of a class of the notebook",
        ("class Limit:\n    minutes = 15", "LIMIT = Limit()", late("LIMIT.minutes")),
        refused="LIMIT, used by delayed (In[4]): of type Limit; make it inside of the function",
    ),
    Case(
        "object-called",
        "an object with `__call__`",
        ("class Limit:\n    def __call__(self):\n        return 15", "limit = Limit()", late("limit()")),
        refused="limit, used by delayed (In[4]): an object of Limit that is called; write a function with def",
    ),
    Case(
        "method-of-an-object",
        "a method of an object: `limit = Limit().value`",
        ("class Limit:\n    def value(self):\n        return 15", "limit = Limit().value", late("limit()")),
        refused="limit, used by delayed (In[4]): a method of an object; write a function with def",
    ),
    Case(
        "open-file",
        "an open file, connection, lock or session",
        ("import threading\n\nlock = threading.Lock()", late("15 if lock.locked() else 10")),
        refused="an open lock, which belongs to this process; open it inside of the function",
    ),
    Case(
        "generator",
        "a generator",
        ("numbers = (n for n in [15])", late("len(str(numbers)) * 0 + 15")),
        refused="numbers, used by delayed (In[3]): a generator, which can be read once; make it inside of the function",
    ),
    # Frames
    Case(
        "frame",
        "a polars frame, used by its name",
        (
            'planes = pl.DataFrame({"carrier": ["UA"], "planes": [7]})',
            '@sl.transform\ndef delayed(flights):\n    return flights.join(planes.lazy(), on="carrier", how="left", maintain_order="left")\n',
        ),
        ('TABLES = Path(__file__).parent / "tables"\nplanes = pl.read_parquet(TABLES / "planes.parquet")\n',),
    ),
    Case(
        "frame-lazy",
        "a lazy frame",
        (
            'planes = pl.LazyFrame({"carrier": ["UA"], "planes": [7]})',
            '@sl.transform\ndef delayed(flights):\n    return flights.join(planes, on="carrier", how="left", maintain_order="left")\n',
        ),
        ('planes = pl.read_parquet(TABLES / "planes.parquet").lazy()\n',),
    ),
    Case(
        "frame-pandas",
        "a pandas frame, in a pandas function",
        (
            "import pandas as pd\n\nplanes = pd.DataFrame({'carrier': ['UA'], 'planes': [7]})",
            '@sl.transform(pandas=True)\ndef delayed(flights):\n    return flights.merge(planes, on="carrier", how="inner")\n',
        ),
        ('planes = pd.read_parquet(TABLES / "planes.parquet")\n', "import pandas as pd\n", "@sl.transform(pandas=True)\n"),
    ),
    Case(
        "frame-large",
        "a frame of more than 10 MB",
        (
            'import os\n\nplanes = pl.DataFrame({"id": [os.urandom(16) for _ in range(800_000)]})',
            add("pl.lit(planes.height)"),
        ),
        refused="MB as Parquet, more than 10 MB; keep fewer columns or rows, or write it into a store",
    ),
    Case(
        "table",
        "a declared table: `@sl.transform(tables={…})`",
        (
            'planes = pl.DataFrame({"carrier": ["UA"], "planes": [7]})',
            '@sl.transform(tables={"planes": sl.table(planes, key="carrier")})\n'
            "def delayed(flights, planes):\n"
            '    return flights.join(planes, on="carrier", how="left", maintain_order="left")\n',
        ),
        ('        "planes": sl.table(TABLES / "planes.parquet", key="carrier"),\n',),
    ),
    # Transforms
    Case(
        "transform-pandas",
        "`@sl.transform(pandas=True)`",
        (
            '@sl.transform(pandas=True)\ndef delayed(flights):\n    return flights[flights["arr_delay"] > 15]\n',
        ),
        ("@sl.transform(pandas=True)\ndef delayed(flights):\n",),
    ),
    Case(
        "transform-metadata",
        '`@sl.transform(metadata=["_offset"])`',
        (
            '@sl.transform(metadata=["_offset"])\ndef delayed(flights):\n    return flights.filter(pl.col("_offset") > 0)\n',
        ),
        ('@sl.transform(metadata=["_offset"])\n',),
    ),
    Case(
        "transform-several",
        "several transforms that share a helper",
        (
            "LATE = 15",
            late("LATE"),
            "@sl.transform\ndef doubled(flights):\n    return flights.with_columns(extra=pl.lit(LATE * 2))\n",
        ),
        ("LATE = 15\n", "def delayed(flights):\n", "def doubled(flights):\n"),
        transforms=("delayed", "doubled"),
    ),
    Case(
        "transform-edited",
        "a transform whose cell was edited and not run",
        (late("15"),),
        ("> 15",),
    ),
    Case(
        "transform-of-a-lambda",
        "`delayed = sl.transform(lambda flights: …)`",
        ("delayed = sl.transform(lambda flights: flights.head(1))",),
        refused="it is a lambda; write it as a function with def",
    ),
    # Local modules
    Case(
        "local-function",
        "`from limits import limit`, of a file beside the notebook",
        ("from limits import limit", late("limit()")),
        ("from .limits import limit\n",),
        ("def limit",),
        files={"limits.py": "LATE = 15\n\n\ndef limit():\n    return LATE\n"},
        copies=("limits.py",),
    ),
    Case(
        "local-module",
        "`import limits as l`, which imports another local file",
        ("import limits2 as l", late("l.limit()")),
        ("from . import limits2 as l\n",),
        files={
            "limits2.py": "import others2\nimport math\n\n\ndef limit():\n    return math.ceil(others2.LATE)\n",
            "others2.py": "LATE = 14.5\n",
        },
        copies=("limits2.py", "others2.py"),
    ),
    Case(
        "local-package",
        "a package of several files, imported by its full name",
        ("import rules.late", late("rules.late.limit()")),
        ("from . import rules\n",),
        files={
            "rules/__init__.py": "",
            "rules/late.py": "from .base import LATE\nfrom rules.more import MORE\n\n\ndef limit():\n    return LATE + MORE\n",
            "rules/base.py": "LATE = 14\n",
            "rules/more.py": "MORE = 1\n",
            "rules/unused.py": "1 / 0\n",
        },
        copies=("rules/__init__.py", "rules/base.py", "rules/late.py", "rules/more.py"),
    ),
    Case(
        "local-star",
        "`from limits import *`, of a local file",
        ("from limits3 import *", late("LATE")),
        ("from .limits3 import LATE\n",),
        files={"limits3.py": "LATE = 15\n"},
        copies=("limits3.py",),
    ),
    Case(
        "local-environment",
        "a local file that reads the environment when it is imported",
        ("from limits4 import limit", add("pl.lit(limit())")),
        refused="the local module limits4: line 3: reads the environment when it is imported; make it a parameter of a function",
        files={"limits4.py": 'import os\n\nMODE = os.getenv("CAPTURE_MODE")\n\n\ndef limit():\n    return MODE\n'},
        secret=TOKEN,
    ),
    Case(
        "local-secret",
        "a local file with a secret or a path of this machine",
        ("from limits5 import limit", late("limit()")),
        refused="the local module limits5: line 1: PASSWORD is named like a secret",
        files={"limits5.py": f'PASSWORD = "{TOKEN}"\n\n\ndef limit():\n    return 15\n'},
        secret=TOKEN,
    ),
    Case(
        "local-constant-changed",
        "a constant of a local file that a cell changed",
        ("import limits6", "limits6.LATE = 15", late("limits6.LATE")),
        refused="the local module limits6: LATE was changed after the import; change it in the file",
        files={"limits6.py": "LATE = 1\n"},
    ),
    Case(
        "local-name-of-the-package",
        "a local file with a name that the package needs",
        ("import worker", late("worker.LATE")),
        refused="the local module worker: the package has a worker of its own; rename it",
        files={"worker.py": "LATE = 1\n"},
    ),
    Case(
        "local-value-of-the-environment",
        "a value of a local file that reads the environment in a function",
        ("import limits7\n\nMODE = limits7.mode()", add("pl.lit(MODE)")),
        refused="MODE, used by delayed (In[3]): was computed by a call of mode (In[2])",
        files={"limits7.py": 'import os\n\n\ndef mode():\n    return os.environ["CAPTURE_MODE"]\n'},
        secret=TOKEN,
    ),
)
