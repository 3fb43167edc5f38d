"""The proof of an export: what a fresh process must do as the notebook does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell

from streamlab import export
from streamlab.connectors.console import ConsoleSink
from streamlab.errors import ExportRefused
from streamlab.export import proof
from streamlab.export.verification import EXPECTED
from streamlab.taps.sample import Sample

Cells = Callable[..., dict[str, Any]]
Edit = Callable[[str, str], Path]

DELAYED = """\
import polars as pl
import streamlab as sl
LATE = 15

@sl.transform
def delayed(flights):
    return flights.filter(pl.col("arr_delay") > LATE)
"""
# A column's namespace that only this session has.
REGISTERED = """\
import polars as pl
import streamlab as sl

@pl.api.register_expr_namespace("flight")
class Flight:
    def __init__(self, column):
        self.column = column
    def late(self):
        return self.column > 15

@sl.transform
def delayed(flights):
    return flights.filter(pl.col("arr_delay").flight.late())
"""


@pytest.fixture(scope="module")
def exported(
    shell: InteractiveShell, sample: Sample, tmp_path_factory: pytest.TempPathFactory
) -> export.Exported:
    """Export a transform, which is proved when it is written."""
    shell.run_cell(DELAYED, store_history=True).raise_error()
    return export.write(
        shell.user_ns["delayed"],
        sample=sample,
        sink=ConsoleSink(),
        folder=tmp_path_factory.mktemp("pipelines"),
    )


@pytest.fixture
def made(exported: export.Exported, tmp_path: Path) -> Path:
    """Return a copy of the package, to edit."""
    return Path(shutil.copytree(exported.folder, tmp_path / "made"))


@pytest.fixture
def edited(made: Path) -> Edit:
    """Return a function that edits the transforms of the package, as a bug would."""

    def edit(old: str, new: str) -> Path:
        path = made / "delayed/transform.py"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return made

    return edit


def prove(made: Path, **constants: object) -> proof.Proof:
    """Prove a package against the rows that it was exported with."""
    return proof.prove(made, constants, pl.read_parquet(made / EXPECTED))


def test_an_export_says_what_was_proved(exported: export.Exported) -> None:
    """The result tells constants, rows and the time, and prints them."""
    assert (exported.proof.constants, exported.proof.rows) == (1, 2)
    assert exported.proof.seconds > 0
    assert "1 constant and 2 rows equal the live ones" in str(exported)


def test_what_only_the_session_has_is_refused_and_nothing_written(
    cells: Cells, sample: Sample, tmp_path: Path
) -> None:
    """A registered namespace is no name of the function; the fresh process lacks it."""
    with pytest.raises(ExportRefused, match=r"fresh process .*no attribute 'flight'"):
        export.write(
            cells(REGISTERED)["delayed"],
            sample=sample,
            sink=ConsoleSink(),
            folder=tmp_path,
        )

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("live", [16, 15.0, True, None])
def test_a_constant_with_another_value_is_named(made: Path, live: object) -> None:
    """Value and type count; the message has the name and not the value."""
    with pytest.raises(ExportRefused, match="its constant LATE is not what LATE is"):
        prove(made, LATE=live)


def test_a_container_is_compared_with_types_and_order(edited: Edit) -> None:
    """Equal for Python is not enough: 1 is not True, and keys have an order."""
    made = edited("LATE = 15", 'LATE = 15\nSHIFT = {"a": 1, "b": (2,)}')

    prove(made, SHIFT={"a": 1, "b": (2,)})
    for other in ({"b": (2,), "a": 1}, {"a": True, "b": (2,)}, {"a": 1, "b": [2]}):
        with pytest.raises(ExportRefused, match="SHIFT"):
            prove(made, SHIFT=other)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("> LATE", "> LATE + 10", r"row 0 of 2 is missing: carrier = 'UA'"),
        ("> LATE", ">= 3", r"row \d of 3 was not expected"),
        ("(pl.col", '(pl.col("carrier") != "", pl.col', ""),
        (
            "flights.filter",
            'flights.with_columns(pl.col("arr_delay").cast(pl.Int32)).filter',
            "column 'arr_delay' is Int32, not Int64",
        ),
        ("flights.filter", "flights.reverse().filter", ""),
    ],
)
def test_another_row_or_schema_is_named(
    edited: Edit, old: str, new: str, says: str
) -> None:
    """Rows are compared as a multiset: only what changes them is refused."""
    made = edited(old, new)

    if not says:
        prove(made)
        return
    with pytest.raises(ExportRefused, match=says):
        prove(made)


def test_a_float_must_be_exact(cells: Cells, sample: Sample, tmp_path: Path) -> None:
    """The last bit counts while no aggregation can be declared."""
    text = DELAYED.replace(
        "flights.filter", 'flights.with_columns(hours=pl.col("arr_delay") / 60).filter'
    )
    exported = export.write(
        cells(text)["delayed"], sample=sample, sink=ConsoleSink(), folder=tmp_path
    )
    path = exported.folder / "delayed/transform.py"
    path.write_text(path.read_text().replace("/ 60", "/ 60 * (1 + 1e-15)"))

    with pytest.raises(ExportRefused, match="hours should be"):
        prove(exported.folder)


@pytest.mark.parametrize("name", ["IPython", "ipykernel", "streamlab.notebook.session"])
def test_the_notebook_cannot_be_imported(edited: Edit, name: str) -> None:
    """As in a worker, there is no IPython, although this environment has it."""
    made = edited("import polars as pl", f"import polars as pl\nimport {name}")

    with pytest.raises(ExportRefused, match=name.partition(".s")[0]):
        prove(made)


def test_the_process_sees_nothing_of_this_one(
    edited: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No variable of ours, no file of the notebook's folder, no entry of its path."""
    monkeypatch.setenv("KAFKA_PASSWORD", "canary")
    monkeypatch.syspath_prepend("canary")
    made = edited(
        "LATE = 15",
        "LATE = 15\nimport os, sys\nSEEN = [*os.environ.values(), *os.listdir(), "
        '*sys.path]\nassert not [one for one in SEEN if "canary" in one]\n'
        "assert not os.listdir()",
    )

    prove(made, LATE=15)


def test_a_missing_name_is_told_by_file_and_line(edited: Edit) -> None:
    """What fails on import is told as a mistake in the package's own file."""
    made = edited("LATE = 15", "LATE = NOWHERE")

    with pytest.raises(ExportRefused, match=r"NOWHERE.*\(transform.py:\d+\)") as caught:
        prove(made)

    assert str(made) not in str(caught.value)


def test_a_crash_is_no_proof(edited: Edit) -> None:
    """A process that ends without an answer refuses the export."""
    made = edited("LATE = 15", "LATE = 15\nimport os\nos._exit(7)")

    with pytest.raises(ExportRefused, match="ended with code 7"):
        prove(made)


def test_a_proof_that_hangs_is_ended(
    edited: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The export is refused after a time limit, which the message has."""
    monkeypatch.setattr(proof, "TIMEOUT_S", 1)
    made = edited("LATE = 15", "LATE = 15\nimport time\ntime.sleep(60)")

    with pytest.raises(ExportRefused, match="did not finish its sample in 1 s"):
        prove(made)


def test_the_proof_leaves_no_bytecode(exported: export.Exported) -> None:
    """What is put in place is what was made."""
    assert not list(exported.folder.rglob("__pycache__"))
