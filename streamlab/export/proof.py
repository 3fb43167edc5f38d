"""The proof of an export: the generated module does what the live objects do.

The package runs once before it is put in place, in a fresh process: without IPython,
in an empty folder, with none of this process's environment but what programs need to
start. Its constants and its rows cross the border as JSON and Parquet and must equal
the live ones. So nothing that only this session knows is in what was captured.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import ExportRefused
from streamlab.export import proof_process
from streamlab.export.comparison import difference

TIMEOUT_S = 60.0
"""A sample is a few thousand events, which the live transforms have just passed."""

KEPT_VARIABLES = (
    *("PATH", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
)
"""All that the process gets of this one's environment."""

_SESSION_HINT = (
    "what only this session has (a registered or patched object, an option that was "
    "set, an environment variable, a module found by its path) is not exported; make "
    "it inside of the function"
)
_LAST_LINES = 3


@dataclass(frozen=True)
class Proof:
    """What the fresh process was found to do.

    Attributes:
        constants: Constants that have their live value, type included.
        rows: Rows that equal the live transforms' on the sample.
        seconds: How long it took, the start of the process included.
    """

    constants: int
    rows: int
    seconds: float

    def __str__(self) -> str:
        """Return the proof in one line."""
        constants, rows = counted(self.constants, "constant"), counted(self.rows, "row")
        return (
            f"in a fresh process without IPython, {constants} and {rows} equal the "
            f"live ones ({self.seconds:.2f} s)"
        )


def prove(
    made: Path,
    constants: Mapping[str, object],
    expected: pl.DataFrame,
    *,
    aggregated: bool = False,
) -> Proof:
    """Run a package that was just made, and compare.

    Args:
        made: Its folder, with the sample.
        constants: Name → live value, of the constants of its module.
        expected: The live transforms' rows on the sample.
        aggregated: Whether they come from a window, state or a join, so that floats
            need not be exact.

    Raises:
        ExportRefused: The package does something else, or fails; names the constant
            or the row.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="streamlab-proof-") as temporary:
        empty, answers = Path(temporary) / "empty", Path(temporary) / "answers"
        empty.mkdir()
        answers.mkdir()
        answer = _answer(made, answers, empty, list(constants))
        if "failed" in answer:
            raise _refused(_inside(made, answer["failed"]), _SESSION_HINT)
        for name, text in answer["constants"].items():
            if text != proof_process.told(constants[name]):
                raise _refused(
                    f"its constant {name} is not what {name} is here",
                    f"assign {name} once, as a literal, and change it nowhere else",
                )
        found = pl.read_parquet(answers / proof_process.OUTPUT)
        differs = difference(expected, found, aggregated=aggregated)
    if differs:
        raise _refused(differs, _SESSION_HINT)
    return Proof(len(constants), expected.height, time.perf_counter() - started)


def _answer(
    made: Path, answers: Path, empty: Path, names: list[str]
) -> Mapping[str, Any]:
    command = [sys.executable, "-P", "-m", proof_process.__name__]
    try:
        done = subprocess.run(
            [*command, str(made), str(answers), *names],
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=empty,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        message = f"it did not finish its sample in {TIMEOUT_S:.0f} s"
        raise _refused(message, "tap fewer events, such as last=1000") from error
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        reason = f"it ended with code {done.returncode}: {said}"
        raise _refused(_inside(made, reason), _SESSION_HINT)
    text = (answers / proof_process.ANSWER).read_text(encoding="utf-8")
    answer: Mapping[str, Any] = json.loads(text)
    return answer


def _environment() -> dict[str, str]:
    """Return the environment of the fresh process.

    It finds what is installed, and this streamlab where that runs from a checkout;
    neither the notebook's folder nor what a session added to its path.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    kept["PYTHONDONTWRITEBYTECODE"] = "1"  # the package is put in place as it was made
    home = Path(__file__).parents[2]
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    if str(home) not in installed:
        kept["PYTHONPATH"] = str(home)
    return kept


def _inside(made: Path, text: str) -> str:
    """Return a text with the files of a package named from its folder."""
    return text.replace(f"{made}{os.sep}", "")


def _refused(reason: str, hint: str) -> ExportRefused:
    message = f"in a fresh process the exported module does not do the same: {reason}"
    return ExportRefused(message, hint=hint)


def counted(number: int, what: str) -> str:
    """Return a number of things as a person says it: ``1 row``, ``1,000 rows``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
