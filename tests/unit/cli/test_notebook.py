"""``streamlab notebook``: what runs no kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlab import cli

SOURCE = """\
# %% tags=["parameters"]
rows: int = 20_000  # 1..1_000_000: events to look at
topic: str
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return the path of a notebook with two parameters."""
    path = tmp_path / "n.py"
    path.write_text(SOURCE, encoding="utf-8")
    return str(path)


def test_parameters_are_listed_as_a_table(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, type, default, range and description, a line each."""
    assert cli.main(["notebook", "parameters", source]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [word.strip() for word in lines[1] if word] == [
        "rows",
        "int",
        "20000",
        "1..1000000",
        "events to look at",
    ]
    assert "(must be given)" in "".join(lines[2])


def test_a_source_without_its_notebook_fails_the_check(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``render --check`` runs nothing, and says what is missing and what to do."""
    assert cli.main(["notebook", "render", "--check", source]) == 1
    said = capsys.readouterr().err
    assert "there is no" in said
    assert "streamlab notebook render" in said


@pytest.mark.parametrize("words", [["-p", "rows=0"], ["-p", "row=5"], []])
def test_wrong_parameters_are_a_wrong_command_line(
    source: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before a kernel starts."""
    assert cli.main(["notebook", "run", source, *words]) == 2
    assert "topic has no default" in capsys.readouterr().err


def test_no_more_jobs_than_one_is_no_number(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--jobs 0`` is a wrong command line."""
    with pytest.raises(SystemExit):
        cli.main(["notebook", "run", source, "--jobs", "0"])
    assert "--jobs" in capsys.readouterr().err
