"""The notebook in git: the same from the same, and nothing of a machine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from streamlab.headless import rendering
from streamlab.headless.execution import Execution


def kept(folder: Path, html: str, *, source: str = "x") -> tuple[str, Any]:
    """Keep an executed notebook with one output; return its text and its node."""
    outputs = [
        nbformat.v4.new_output(
            "execute_result",
            {
                "text/html": html,
                "text/plain": html,
                "application/vnd.vega.v5+json": {},
            },
            execution_count=9,
        )
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# T"),
        nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=9),
    ]
    ran = folder / "ran.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), ran)
    path = folder / "n.py"
    execution = Execution("n", path, {}, ran, 1.0)
    written = rendering._kept(path, execution)  # without a kernel
    return written.read_text(), nbformat.read(written, as_version=4)


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    """Ids follow from the cells, and counts are in order."""
    first, node = kept(tmp_path, "<p>1</p>")
    again, _ = kept(tmp_path, "<p>1</p>")
    assert first == again
    assert node.cells[1].execution_count == node.cells[1].outputs[0].execution_count
    assert node.cells[1].execution_count == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<b>12 ms</b> per million", "<b>1.3 s</b> per million"),
        ("took 2 min 5 s", "took 58 s"),
        ("<b>1.2 k/s</b> of 3,000", "<b>880/s</b> of 2,000"),
        ('<img src="data:image/svg+xml;base64,AAAA">', '<img src="data:image/x,B">'),
        ("cluster abcdefghijklmnopqrstuv", "cluster ABCDEFGHIJ-LMNOPQRSTUV"),
    ],
)
def test_only_measured_figures_change_nothing(
    tmp_path: Path, before: str, after: str
) -> None:
    """A cell that differs in rates and durations only keeps what it showed."""
    first, _ = kept(tmp_path, before)
    again, _ = kept(tmp_path, after)
    assert first == again


@pytest.mark.parametrize(
    ("before", "after"),
    [("12 rows", "13 rows"), ("a 1 ms", "b 1 ms"), ("5 events", "7 events")],
)
def test_any_other_change_is_kept(tmp_path: Path, before: str, after: str) -> None:
    """The negative control: a figure that was not measured replaces the old one."""
    kept(tmp_path, before)
    _, node = kept(tmp_path, after)
    assert node.cells[1].outputs[0].data["text/plain"] == after


def test_styles_ports_and_other_forms_go(tmp_path: Path) -> None:
    """What a code host drops, and what is of this machine, is not written."""
    text, node = kept(tmp_path, "<style>p {}</style><p>127.0.0.1:34567</p>")
    data = node.cells[1].outputs[0].data
    assert data["text/html"] == "<p>127.0.0.1:…</p>"
    assert set(data) == {"text/html", "text/plain"}
    assert "34567" not in text


def test_a_large_notebook_is_refused(tmp_path: Path) -> None:
    """Half a megabyte is the most that is kept; what was there stays."""
    first, _ = kept(tmp_path, "small")
    with pytest.raises(rendering.UsageError, match="bytes"):
        kept(tmp_path, "x" * rendering.MAX_BYTES)
    assert (tmp_path / "n.ipynb").read_text() == first


def test_a_source_and_another_notebook_differ(tmp_path: Path) -> None:
    """The check without a run names the first cell that is not the source's."""
    source = tmp_path / "n.py"
    source.write_text("# %% [markdown]\n# # T\n\n# %%\nx\n")
    assert "there is no" in rendering.differing(source)
    kept(tmp_path, "1")
    assert rendering.differing(source) == ""
    source.write_text("# %% [markdown]\n# # T\n\n# %%\ny\n")
    assert "cell 2" in rendering.differing(source)
    source.write_text("# %% [markdown]\n# # T\n")
    assert "has 2 cells" in rendering.differing(source)


def test_times_of_the_run_are_blanked_and_others_stay(tmp_path: Path) -> None:
    """What a notebook wrote a moment ago is of a day; tables keep their widths."""
    now = datetime.now(UTC)
    shown = f"at {now:%Y-%m-%d %H:%M:%S}.123 UTC, {now:%Y-%m-%dT%H:%M:%SZ}, 2013-05-04"
    _, node = kept(tmp_path, shown)
    assert node.cells[1].outputs[0].data["text/plain"] == (
        "at ····-··-·· ··:··:··.··· UTC, ····-··-··T··:··:··Z, 2013-05-04"
    )
