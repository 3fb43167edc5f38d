from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlab.export.capture import capture
from streamlab.export.module import text_of
from streamlab.export.tables import gathered

Cells = Callable[..., dict[str, Any]]

IMPORTS = "import polars as pl\nimport streamlab as sl\n"
DELAYED = """\
@sl.transform
def delayed(flights):
    return {body}
"""


def exported(namespace: dict[str, Any], name: str = "delayed") -> str:
    """Return the module's text; nothing may be refused."""
    transform = namespace[name]
    captured = capture([transform])
    assert captured.problems == ()
    stems = gathered([transform], Path()).stems
    return text_of(captured, stems, docstring="Transforms.")


def refused(namespace: dict[str, Any], name: str = "delayed") -> str:
    """Return the problems of an export."""
    return "\n".join(capture([namespace[name]]).problems)


def test_a_demo_transform_reads_as_if_written_by_hand(cells: Cells) -> None:
    """Imports as aliased, constants, helper, tables and comments are in place."""
    namespace = cells(
        IMPORTS + "import os\nfrom datetime import timedelta as span\n",
        "LATE = 15  # minutes\n"
        'airlines = pl.DataFrame({"carrier": ["UA"], "airline": ["United"]})\n'
        'planes = pl.DataFrame({"tailnum": ["N1"], "model": ["747"]})\n',
        "# As people say it.\n"
        "def flight_name() -> pl.Expr:\n"
        '    """Return carrier and number."""\n'
        '    return pl.format("{} {}", "carrier", "flight")  # one text\n',
        "@sl.transform(tables={\n"
        '    "airlines": sl.table(airlines, key="carrier"), "planes": planes})\n'
        "def delayed(flights: pl.LazyFrame, airlines, planes):\n"
        '    late = flights.filter(pl.col("arr_delay") > LATE)\n'
        "    late = late.with_columns(name=flight_name(), wait=span(minutes=1))\n"
        '    late = late.join(airlines, on="carrier", maintain_order="left")\n'
        '    return late.join(planes, on="tailnum", maintain_order="left")\n',
    )

    assert exported(namespace) == (
        '"""Transforms."""\n'
        "\n"
        "from datetime import timedelta as span\n"
        "from pathlib import Path\n"
        "\n"
        "import polars as pl\n"
        "import streamlab as sl\n"
        "\n"
        'TABLES = Path(__file__).parent / "tables"\n'
        "LATE = 15  # minutes\n"
        "\n"
        "\n"
        "# As people say it.\n"
        "def flight_name() -> pl.Expr:\n"
        '    """Return carrier and number."""\n'
        '    return pl.format("{} {}", "carrier", "flight")  # one text\n'
        "\n"
        "\n"
        "@sl.transform(\n"
        "    tables={\n"
        '        "airlines": sl.table(TABLES / "airlines.parquet", key="carrier"),\n'
        '        "planes": sl.table(TABLES / "planes.parquet"),\n'
        "    },\n"
        ")\n"
        "def delayed(flights: pl.LazyFrame, airlines, planes):\n"
        '    late = flights.filter(pl.col("arr_delay") > LATE)\n'
        "    late = late.with_columns(name=flight_name(), wait=span(minutes=1))\n"
        '    late = late.join(airlines, on="carrier", maintain_order="left")\n'
        '    return late.join(planes, on="tailnum", maintain_order="left")\n'
    )


def test_a_constant_has_its_live_value(cells: Cells) -> None:
    """What was appended after the assignment is exported, too."""
    namespace = cells(
        IMPORTS,
        'CARRIERS = ["UA"]',
        'CARRIERS.append("AA")',
        DELAYED.format(body='flights.filter(pl.col("carrier").is_in(CARRIERS))'),
    )

    assert 'CARRIERS = ["UA", "AA"]\n' in exported(namespace)


def test_a_function_is_followed_from_the_object_that_lives(cells: Cells) -> None:
    """Of a helper that was defined twice, the last definition is exported."""
    namespace = cells(
        IMPORTS,
        "def minutes():\n    return 1",
        DELAYED.format(body='flights.filter(pl.col("arr_delay") > minutes())'),
        "def minutes():\n    return 2",
    )

    text = exported(namespace)

    assert "return 2" in text
    assert "return 1" not in text


def test_a_function_whose_constant_changed_gets_the_new_one(cells: Cells) -> None:
    """The last assignment of a constant counts, as it does in the notebook."""
    namespace = cells(
        IMPORTS,
        "LATE = 15",
        DELAYED.format(body='flights.filter(pl.col("arr_delay") > LATE)'),
        "LATE = 30  # be patient",
    )

    assert "LATE = 30  # be patient\n" in exported(namespace)


def test_a_submodule_gets_an_import_of_its_own(cells: Cells) -> None:
    """``import xml.etree.ElementTree`` binds ``xml``; the export imports it whole."""
    namespace = cells(
        IMPORTS + "import xml.etree.ElementTree\n",
        DELAYED.format(body="flights.filter(xml.etree.ElementTree.VERSION > '')"),
    )

    assert "import xml.etree.ElementTree\n" in exported(namespace)


def test_other_decorators_stay(cells: Cells) -> None:
    """A helper keeps its decorator, and the decorator its import."""
    namespace = cells(
        IMPORTS + "import functools\n",
        "@functools.cache\ndef limit():\n    return 15",
        DELAYED.format(body='flights.filter(pl.col("arr_delay") > limit())'),
    )

    text = exported(namespace)

    assert "import functools\n" in text
    assert "@functools.cache\ndef limit():\n" in text


def test_a_helper_of_a_local_file_is_carried(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function imported from a file beside the notebook becomes a helper."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside_notebook.py").write_text(
        "LIMIT = 20\n\n\ndef limit():\n    return LIMIT\n"
    )
    namespace = cells(
        IMPORTS + "from beside_notebook import limit",
        DELAYED.format(body='flights.filter(pl.col("arr_delay") > limit())'),
    )

    text = exported(namespace)

    assert "LIMIT = 20\n" in text
    assert "def limit():\n    return LIMIT\n" in text


def test_twice_the_same_text(cells: Cells) -> None:
    """A set has no order, its export has."""
    namespace = cells(
        IMPORTS,
        "CARRIERS = {c for c in ('UA', 'AA', 'B6', 'DL')}",
        DELAYED.format(body='flights.filter(pl.col("carrier").is_in(CARRIERS))'),
    )

    assert 'CARRIERS = {"AA", "B6", "DL", "UA"}\n' in exported(namespace)


@pytest.mark.parametrize(
    ("before", "body", "says"),
    [
        ("limits = pl.DataFrame()", "flights.join(limits)", "declare it as a table"),
        ("class Limit: pass", "flights.filter(Limit)", "a class of the notebook"),
        ("late = pl.col('a') > 1", "flights.filter(late)", "a polars expression"),
        ("f = lambda: 1", "flights.filter(f())", "write it as a function with def"),
        ("lock = object()", "flights.filter(lock)", "of type object; make"),
        ("", "flights.filter(nowhere)", "nowhere, used by delayed: it is not defined"),
        ("", "flights.filter(display)", "only in a notebook"),
        ("", "flights.join(pl.read_csv('a.csv'))", "reads a file"),
        ("", "flights.join(open('a.csv'))", "reads a file"),
        ("", "flights.filter('/home/me/x.csv')", "a path of this machine"),
        ("", "flights.filter('postgres://me:pw@host/db')", "holds a password"),
        (
            "DATA = ['/home/me/data']",
            "flights.filter(DATA)",
            "a path of this machine",
        ),
        (
            "import os\nMODE = os.environ.get('NO_MODE', 'fast')",
            "flights.filter(MODE)",
            "was computed by a call",
        ),
        ("API_TOKEN = 'abc'", "flights.filter(API_TOKEN)", "named like a secret"),
        ("LIMIT = float('inf')", "flights.filter(LIMIT)", "of type float; make"),
        (
            "def g():\n    global n\n    n = 1",
            "flights.filter(g())",
            "changes the glob",
        ),
        ("def g(): return 1\nh = g", "flights.filter(h())", "another name of"),
        (
            "def around(n):\n    def g(): return n\n    return g\ng = around(1)",
            "flights.filter(g())",
            "uses 'n' of the function around it",
        ),
        ("exec('def g(): return 1')", "flights.filter(g())", "its source is not known"),
    ],
)
def test_what_is_not_carried_is_refused_by_name(
    cells: Cells, before: str, body: str, says: str
) -> None:
    """Each thing that an export does not carry has its own sentence."""
    namespace = cells(IMPORTS, before, DELAYED.format(body=body))

    assert re.search(says, refused(namespace))


def test_all_problems_are_listed_at_once(cells: Cells) -> None:
    """Nobody should need three exports to hear of three problems."""
    namespace = cells(
        IMPORTS,
        "limits = pl.DataFrame()\nclass Limit: pass",
        DELAYED.format(body="flights.filter(limits, Limit, nowhere)"),
    )

    problems = capture([namespace["delayed"]]).problems

    assert len(problems) == 3


def test_no_problem_shows_a_secret(cells: Cells) -> None:
    """A refusal names the constant, never its value."""
    namespace = cells(
        IMPORTS,
        "API_TOKEN = 'hunter2'",
        DELAYED.format(body="flights.filter(API_TOKEN)"),
    )

    assert "hunter2" not in refused(namespace)


def test_a_file_that_changed_since_it_was_imported_is_refused(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text on disk is not what runs, so it is not exported."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "changed_since.py"
    path.write_text("def limit():\n    return 1\n")
    namespace = cells(
        IMPORTS + "from changed_since import limit",
        DELAYED.format(body='flights.filter(pl.col("arr_delay") > limit())'),
    )
    path.write_text("def limit():\n    return 22222\n")
    del sys.modules["changed_since"]

    assert "changed since it was run" in refused(namespace)


def test_one_name_for_two_things_is_refused(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module has one value for a name; two files had one each."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "other_limit.py").write_text(
        "LIMIT = 20\n\ndef limit():\n    return LIMIT\n"
    )
    namespace = cells(
        IMPORTS + "from other_limit import limit\nLIMIT = 1",
        DELAYED.format(body="flights.filter(limit() > LIMIT)"),
    )

    assert "the name stands for two things" in refused(namespace)
