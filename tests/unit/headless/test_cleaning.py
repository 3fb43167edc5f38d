"""What is left of an executed notebook."""

from __future__ import annotations

import nbformat

from streamlab.headless import cleaning, source
from streamlab.headless.given import Given


def executed() -> nbformat.NotebookNode:
    """Return a notebook with all that papermill and a front end leave in it."""
    outputs = [
        nbformat.v4.new_output("stream", text="the password is hun<er2"),
        nbformat.v4.new_output(
            "display_data",
            {
                "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
                "text/html": "<b>hun&lt;er2</b>",
                "text/plain": "'hun<er2'",
            },
        ),
    ]
    cell = nbformat.v4.new_code_cell("1", id="one", outputs=outputs)
    cell.metadata = nbformat.from_dict(
        {"papermill": {"start_time": "2026"}, "execution": {"x": "2026"}, "tags": []}
    )
    marker = nbformat.v4.new_markdown_cell("An Exception", id="marker")
    marker.metadata["tags"] = ["papermill-error-cell-tag"]
    return nbformat.v4.new_notebook(
        cells=[marker, cell],
        metadata={
            "papermill": {"input_path": "/home/me/x.ipynb", "parameters": {"a": 1}},
            "widgets": {"state": {}},
            "language_info": {"name": "python", "version": "3.11.2"},
        },
    )


def test_machine_times_and_widgets_go() -> None:
    """Metadata of papermill, widget views and markers are not kept."""
    notebook = executed()
    cleaning.clean(notebook, {})
    assert notebook.metadata == {"language_info": {"name": "python"}}
    (cell,) = notebook.cells
    assert cell.metadata == {}
    assert set(cell.outputs[1].data) == {"text/html", "text/plain"}


def test_the_content_of_a_reference_becomes_the_reference() -> None:
    """A secret that a cell printed is not kept, in whatever form it was shown."""
    notebook = executed()
    cleaning.clean(notebook, {"hun<er2": "${env:X}"})
    text = nbformat.writes(notebook)
    assert "er2" not in text
    assert text.count("${env:X}") == 3


def test_a_cell_is_called_by_the_first_name_it_has() -> None:
    """Description, title, tag, comment, heading, first line, in this order."""
    cells = [
        nbformat.v4.new_markdown_cell("# One\ntext\n## Two"),
        nbformat.v4.new_code_cell("x = 1"),
        nbformat.v4.new_code_cell("# noqa: X\n# What it does\nx = 1"),
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["tagged"]}),
        nbformat.v4.new_code_cell("x", metadata={"title": "Titled", "tags": ["t"]}),
        nbformat.v4.new_code_cell('"papermill_description=described"'),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    names = [source.name_of(notebook, place) for place in range(1, 6)]
    assert names == ["Two", "What it does", "tagged", "Titled", "described"]
    del notebook.cells[0]
    assert source.name_of(notebook, 0) == "x = 1"


def test_values_are_set_behind_the_declarations() -> None:
    """The injected cell follows the tagged one, and replaces an earlier one."""
    cells = [
        nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("a = 2", metadata={"tags": ["injected-parameters"]}),
        nbformat.v4.new_code_cell("a"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    source.inject(notebook, Given({}, "a = 3"))
    assert [cell.source for cell in notebook.cells] == ["a = 1", "a = 3", "a"]
