from __future__ import annotations

from pathlib import Path

import pytest

from streamlab.errors import ExportRefused
from streamlab.export.destination import replaced


def made(folder: Path, **contents: str) -> Path:
    """Return a folder with one text file for each argument."""
    folder.mkdir()
    for name, text in contents.items():
        (folder / name).write_text(text)
    return folder


def test_a_second_export_replaces_the_first(tmp_path: Path) -> None:
    """Files that are no longer part of the package go, the others are new."""
    target = tmp_path / "package"
    replaced(made(tmp_path / "1", kept="old", gone="x"), target, overwrite=False)

    files = replaced(made(tmp_path / "2", kept="new"), target, overwrite=False)

    assert files == ("kept",)
    assert (target / "kept").read_text() == "new"
    assert not (target / "gone").exists()


def test_files_of_the_user_stay(tmp_path: Path) -> None:
    """What no export wrote is left alone."""
    target = made(tmp_path / "package", notes="mine")

    replaced(made(tmp_path / "1", kept="x"), target, overwrite=False)

    assert (target / "notes").read_text() == "mine"


def test_edited_files_are_not_replaced(tmp_path: Path) -> None:
    """Somebody's edits are refused by name, and nothing is written."""
    target = tmp_path / "package"
    replaced(made(tmp_path / "1", a="old", b="old"), target, overwrite=False)
    (target / "b").write_text("edited")

    with pytest.raises(ExportRefused, match=r"since it was exported: b\n"):
        replaced(made(tmp_path / "2", a="new", b="new"), target, overwrite=False)

    assert (target / "a").read_text() == "old"


def test_edited_files_are_replaced_when_asked(tmp_path: Path) -> None:
    """``overwrite`` is how edits are given up."""
    target = tmp_path / "package"
    replaced(made(tmp_path / "1", a="old"), target, overwrite=False)
    (target / "a").write_text("edited")

    replaced(made(tmp_path / "2", a="new"), target, overwrite=True)

    assert (target / "a").read_text() == "new"


def test_a_folder_of_somebody_else_is_not_written_into(tmp_path: Path) -> None:
    """A file that no export wrote and that a package would replace is kept."""
    target = made(tmp_path / "package", README="mine")

    with pytest.raises(ExportRefused, match="README"):
        replaced(made(tmp_path / "1", README="new"), target, overwrite=False)
