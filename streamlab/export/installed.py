"""An exported package where it is: in a checkout, or installed.

In a checkout ``pipeline.toml`` and ``schema.yaml`` lie beside the module, where a
person looks for them; a wheel carries them inside of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from streamlab.errors import UsageError
from streamlab.pipelines.file import FILE_NAME, SCHEMA_FILE_NAME


def file_of(module: Path, name: str) -> Path:
    """Return a file that belongs to a module, inside of it or beside it.

    Args:
        module: Folder of the package's module.
        name: ``pipeline.toml`` or ``schema.yaml``.

    Raises:
        UsageError: It is in neither place.
    """
    for path in (module / name, module.parent / name):
        if path.exists():
            return path
    message = f"the package {module.name} has no {name}"
    raise UsageError(message, hint="export it again, and install the new package")


def digest(module: Path) -> str:
    """Return the SHA-256 of everything that decides what a package does.

    Two places with the same digest run the same pipeline: it tells an installation
    that is older than the folder it is compared with.
    """
    paths = [
        *sorted(module.rglob("*.py")),
        file_of(module, FILE_NAME),
        file_of(module, SCHEMA_FILE_NAME),
        *sorted((module / "tables").glob("*.parquet")),
    ]
    total = hashlib.sha256()
    for path in paths:
        inside = path.is_relative_to(module)
        name = path.relative_to(module).as_posix() if inside else path.name
        total.update(name.encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
