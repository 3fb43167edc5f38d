"""The report of a run: a summary, and everything from outside as text."""

from __future__ import annotations

import re
from pathlib import Path

import jupyter_core.paths
import nbformat
import pytest

from streamlab.headless import page
from streamlab.headless.execution import Execution, Failure

EVIL = "<script>alert(1)</script>"


def written(folder: Path, failure: Failure | None = None, *, asked: int = 1) -> str:
    """Write the page of one notebook and return it."""
    path = folder / "n.ipynb"
    cell = nbformat.v4.new_code_cell(f"x = '{EVIL}'", id="one")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    execution = Execution("n", path, {"p": EVIL}, path, 1.25, failure)
    page.write([execution], folder / "out" / "report.html", asked=asked)
    return (folder / "out" / "report.html").read_text(encoding="utf-8")


def test_a_failure_is_in_the_summary(tmp_path: Path) -> None:
    """Notebook, parameters, state, seconds, cell and events stand in one row."""
    failure = Failure("Count", 3, "E", EVIL, "try", ("flights/0@7",))
    text = written(tmp_path, failure)
    row = re.search(r"<tbody><tr>(.*?)</tr>", text)
    assert row is not None
    for part in ("failed", "3: Count", "flights/0@7"):
        assert part in row[1]
    assert "1 of 1 notebook failed" in text


def test_nothing_from_outside_is_markup(tmp_path: Path) -> None:
    """Parameters, messages, names and source are escaped."""
    text = written(tmp_path, Failure(EVIL, 1, EVIL, EVIL, EVIL, (EVIL,)))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    """No address stands in it, and its policy allows none."""
    text = written(tmp_path)
    assert not re.search(r"(?:src|href)=.(?!#|data:)", text)
    assert "default-src 'none'" in text


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    """What was not finished is not passed over."""
    assert "interrupted: 1 of 2 notebooks passed" in written(tmp_path, asked=2)


def test_the_templates_are_found_from_a_layered_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment without a ``share`` folder of its own the page is the same."""
    usual = written(tmp_path)
    monkeypatch.setattr(jupyter_core.paths, "ENV_JUPYTER_PATH", [str(tmp_path)])
    monkeypatch.setattr(jupyter_core.paths, "SYSTEM_JUPYTER_PATH", [])
    assert written(tmp_path) == usual
