"""The folder of a package: written anew, never over somebody's work."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from streamlab.errors import ExportRefused
from streamlab.export.templates import REPORT

MANIFEST = ".streamlab-export.json"
"""What an export wrote: path → SHA-256, to tell it from what a person wrote."""


def replaced(made: Path, target: Path, *, overwrite: bool) -> tuple[str, ...]:
    """Put the files of a new export in place of those of an earlier one.

    Files in the folder that no export wrote stay where they are.

    Args:
        made: Folder with the new files.
        target: The package's folder; it may hold an earlier export.
        overwrite: Replace files that were edited.

    Returns:
        The paths of the new files, relative to the folder, sorted.

    Raises:
        ExportRefused: The folder holds something that is not an export, or files of
            the earlier export were edited.
    """
    new = {
        path.relative_to(made).as_posix(): _hash(path)
        for path in sorted(made.rglob("*"))
        if path.is_file()
    }
    old = _manifest(target)
    _require_untouched(target, old, new, overwrite=overwrite)
    for name in old.keys() - new.keys():
        (target / name).unlink(missing_ok=True)
    for name in new:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / name, target / name)
    manifest = json.dumps(new, indent=1, sort_keys=True) + "\n"
    (target / MANIFEST).write_text(manifest, encoding="utf-8")
    return tuple(new)


def _require_untouched(
    target: Path, old: Mapping[str, str], new: Mapping[str, str], *, overwrite: bool
) -> None:
    if overwrite:
        return
    edited = [
        name
        for name in sorted({*old, *new} - {REPORT})  # Jupyter changes it on opening
        if (target / name).is_file()
        and _hash(target / name) not in {old.get(name), new.get(name)}
    ]
    if edited:
        message = f"{target} was edited since it was exported: {', '.join(edited)}"
        hint = (
            "export under another name, or replace the edits: --overwrite, in Python "
            "overwrite=True"
        )
        raise ExportRefused(message, hint=hint)


def _manifest(target: Path) -> dict[str, str]:
    try:
        text = (target / MANIFEST).read_text(encoding="utf-8")
        stored: dict[str, str] = json.loads(text)
    except (OSError, ValueError):
        return {}
    return stored


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
