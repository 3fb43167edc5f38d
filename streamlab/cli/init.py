"""``streamlab init``: write a commented streamlab.toml."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from streamlab.errors import SettingsError
from streamlab.settings import FILE_NAME


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments, of which there are none."""
    del name
    parser.description = (
        f"Write a commented {FILE_NAME} into this folder; an existing one stays."
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Write the file.

    Raises:
        SettingsError: There is one already, or the folder cannot be written to.
    """
    del name, arguments
    template = files("streamlab.cli").joinpath(FILE_NAME).read_text("utf-8")
    path = Path.cwd() / FILE_NAME
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except FileExistsError as error:
        raise SettingsError(
            f"there is a {FILE_NAME} here already; it was not changed",
            hint="edit it, or move it away first",
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    print(
        f"wrote {FILE_NAME}; next: streamlab up, or a profile of your own in it and "
        "streamlab doctor kafka --profile NAME"
    )
    return 0
