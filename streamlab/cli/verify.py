"""``streamlab verify``: papermill runs a package's report on its installed command."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamlab.errors import VerificationFailed


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    del name
    parser.add_argument("package", type=Path, help="the package's folder")
    parser.add_argument(
        "--scripts",
        type=Path,
        help="folder of the commands of the environment where it is installed",
    )
    parser.add_argument(
        "--report",
        type=Path,
        help="file for the executed notebook; .streamlab/verify/NAME.ipynb if left out",
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Run the report and say what came out."""
    del name
    from streamlab.export.report import run_report
    from streamlab.settings import Settings, made_state_folder

    package = arguments.package.resolve()
    report = arguments.report or (
        made_state_folder(Settings.load().state_folder)
        / "verify"
        / f"{package.name}.ipynb"
    )
    scripts = str(arguments.scripts.resolve()) if arguments.scripts else ""
    told = f"the report is in {report}, and as a page beside it"
    try:
        print(run_report(package, report, scripts=scripts))
    except VerificationFailed:
        print(told)
        raise
    print(told)
    return 0
