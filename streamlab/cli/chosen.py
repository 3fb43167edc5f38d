"""The pipeline that a command is about, and the profile to connect with."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from streamlab.pipelines import Pipeline


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
    """
    from streamlab.pipelines.file import load

    if arguments.profile:
        os.environ["STREAMLAB_PROFILE"] = arguments.profile
    return load(arguments.pipeline)
