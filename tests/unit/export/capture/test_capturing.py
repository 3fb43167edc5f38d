from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlab.export.capture.capturing import capture
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


def test_all_problems_are_listed_at_once(cells: Cells) -> None:
    """Nobody should need three exports to hear of three problems."""
    namespace = cells(
        IMPORTS,
        "limits = iter([1])\nlimit = object()",
        DELAYED.format(body="flights.filter(limits, limit, nowhere)"),
    )

    problems = capture([namespace["delayed"]]).problems

    assert len(problems) == 3


def test_the_report_names_the_cell_that_each_piece_was_taken_from(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edits that were not run cannot be seen, so each piece says what was run."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "taken_from.py").write_text("LIMIT = 20\n")
    namespace = cells(
        IMPORTS,
        "LATE = 15",
        "def minutes():\n    return LATE",
        "from taken_from import LIMIT",
        "LATE = 30",
        "# Parameters\nMORE = 1",
        DELAYED.format(body="flights.filter(minutes() + MORE > LIMIT)"),
    )

    taken = [str(one) for one in capture([namespace["delayed"]]).taken]

    assert taken == [
        "LATE from In[5]",
        "MORE from In[6], a parameter of this run",
        "minutes from In[3]",
        "delayed from In[7]",
        "taken_from from taken_from.py",
    ]


def test_a_transform_of_a_file_is_captured_with_the_names_of_that_file(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline file names transforms of modules; no cell is needed for them."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "flows_of_file.py").write_text(
        IMPORTS
        + "LATE = 15  # minutes\n\n\ndef minutes():\n    return LATE\n\n\n"
        + DELAYED.format(body='flights.filter(pl.col("arr_delay") > minutes())')
    )
    namespace = cells("from flows_of_file import delayed")

    text = exported(namespace)

    assert "LATE = 15  # minutes\n" in text
    assert "def minutes():\n    return LATE\n" in text


def test_two_transforms_may_not_use_one_name_for_two_things(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module has one value for a name; the notebook and a file had one each."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "other_flow.py").write_text(
        IMPORTS + "LATE = 20\n\n\n@sl.transform\ndef first(flights):\n"
        "    return flights.filter(LATE)\n"
    )
    namespace = cells(
        IMPORTS,
        "from other_flow import first\nLATE = 1",
        DELAYED.format(body="flights.filter(LATE)"),
    )

    captured = capture([namespace["first"], namespace["delayed"]])

    assert "LATE, used by delayed (In[3]): the name stands for two things" in str(
        captured.problems
    )


def test_a_frame_does_not_replace_a_declared_table_of_its_name(cells: Cells) -> None:
    """Both are files of the package, so each gets a name of its own."""
    namespace = cells(
        IMPORTS,
        'planes = pl.DataFrame({"tailnum": ["N1"]})',
        'others = pl.DataFrame({"tailnum": ["N2"]})',
        '@sl.transform(tables={"planes": others})\n'
        "def delayed(flights, planes):\n    return joined(flights)\n",
        "def joined(flights):\n    return flights.join(planes.lazy(), on='tailnum')",
    )

    captured = capture([namespace["delayed"]])

    assert [one.file for one in captured.frames] == ["planes_frame.parquet"]


@pytest.mark.parametrize("name", ["TABLES", "Path", "sl"])
def test_names_of_the_package_s_module_are_refused(cells: Cells, name: str) -> None:
    """The module has them for itself: a package that breaks at start helps nobody."""
    namespace = cells(
        "import polars as pl\nimport streamlab as other",
        f'{name} = 3\nplanes = pl.DataFrame({{"tailnum": ["N1"]}})',
        "@other.transform\ndef delayed(flights):\n"
        f"    return flights.filter({name}, planes)\n",
    )

    assert f"{name}: the package's module has this name" in refused(
        namespace
    ) or f"{name}, used by delayed (In[3]): the package's module" in refused(namespace)


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


def test_blanks_at_the_end_of_a_line_stay_where_they_are_part_of_a_text(
    cells: Cells,
) -> None:
    """A text over several lines is the same in the package, to the last blank."""
    namespace = cells(
        IMPORTS,
        'def text():   \n    return """a  \nb"""\n',
        DELAYED.format(body="flights.filter(text())"),
    )

    assert 'return """a  \nb"""\n' in exported(namespace)
