"""The pipeline that a command is about, and the profile to connect with."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from streamlab.errors import UsageError
from streamlab.pipelines import Pipeline

PACKAGES = Path("pipelines")
"""Where an export puts packages."""


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """Declare ``PIPELINE`` and ``--profile``."""
    parser.add_argument(
        "pipeline", type=Path, help="a pipeline.toml, or the folder that holds one"
    )
    parser.add_argument("--profile", default="", help="profile to connect with")


def chosen_pipeline(arguments: argparse.Namespace) -> Pipeline:
    """Load the pipeline; the profile holds for this process from now on.

    Raises:
        PipelineError: The file cannot be read, or has a mistake.
        UsageError: There is no such file or folder.
    """
    from streamlab.pipelines.file import load

    require_pipeline(arguments.pipeline)
    if arguments.profile:
        os.environ["STREAMLAB_PROFILE"] = arguments.profile
    return load(arguments.pipeline)


def require_pipeline(path: Path) -> None:
    """Refuse a path that is not there; the name of an exported package is tried too.

    Raises:
        UsageError: There is no such file or folder.
    """
    if path.exists():
        return
    exported = PACKAGES / path.name
    hint = (
        f"did you mean {exported}?"
        if exported.is_dir()
        else "name a pipeline.toml, or the folder that holds one, such as "
        f"{PACKAGES / 'delayed_flights'}"
    )
    raise UsageError(f"there is no pipeline file or folder {path}", hint=hint)
