"""The report of a package: one list of cells, as a notebook and as a script."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest
from papermill.engines import NotebookExecutionManager
from papermill.inspection import inspect_notebook

from streamlab.export import report_cells
from streamlab.export.report_cells import CELLS

NOTEBOOK = nbformat.reads(report_cells.as_notebook(CELLS), as_version=4)
SCRIPT = report_cells.as_percent(CELLS)


def test_the_notebook_is_valid_and_has_no_output() -> None:
    """Every cell has an id of its own, which is the same in each export."""
    nbformat.validate(NOTEBOOK)
    assert [cell.id for cell in NOTEBOOK.cells] == [cell.name for cell in CELLS]
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert not any(cell.get("outputs") for cell in NOTEBOOK.cells)


def test_the_script_is_the_notebook() -> None:
    """jupytext reads the same cells from both, tags included."""
    script = jupytext.reads(SCRIPT, fmt="py:percent")

    assert [(c.cell_type, c.source, c.metadata.get("tags")) for c in script.cells] == [
        (c.cell_type, c.source, c.metadata.get("tags")) for c in NOTEBOOK.cells
    ]


def test_the_header_keeps_the_kernel() -> None:
    """papermill knows what to start, from the script as from the notebook."""
    script = jupytext.reads(SCRIPT, fmt="py:percent")

    assert script.metadata.kernelspec == NOTEBOOK.metadata.kernelspec
    assert script.metadata.kernelspec.name == "python3"


def test_the_script_is_as_jupytext_writes_it() -> None:
    """Saving it in an editor that pairs notebooks changes nothing."""
    read = jupytext.reads(SCRIPT, fmt="py:percent")
    written = jupytext.writes(read, fmt="py:percent").splitlines()

    ours = SCRIPT.splitlines()
    versions = ("format_version", "jupytext_version")
    assert [line for line in written if not any(v in line for v in versions)] == ours


@pytest.mark.parametrize("cell", [c for c in NOTEBOOK.cells if c.cell_type == "code"])
def test_papermill_shows_what_a_cell_does(cell: nbformat.NotebookNode) -> None:
    """Each cell that does something has the description that papermill reads."""
    manager = NotebookExecutionManager(NOTEBOOK, progress_bar=False)
    described = manager.get_cell_description(cell)

    assert bool(described) != ("parameters" in cell.metadata.get("tags", []))


def test_parameters_are_declared_with_types(tmp_path: Path) -> None:
    """papermill reads name, type and default of each from the cell."""
    path = tmp_path / "verify.ipynb"
    path.write_text(report_cells.as_notebook(CELLS))

    found = {
        name: (one["inferred_type_name"], one["default"])
        for name, one in inspect_notebook(str(path)).items()
    }

    assert found == {
        "package": ("str", '"."'),
        "scripts": ("str", '""'),
        "timeout_s": ("float", "300.0"),
    }
