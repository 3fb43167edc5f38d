"""Verifying a package: its installed command, on its sample, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.errors import UsageError, VerificationFailed
from streamlab.export import installed
from streamlab.export.comparison import difference

SAMPLE = "sample/sample.parquet"
EXPECTED = "sample/expected.parquet"
TIMEOUT_S = 300.0
"""A sample is a few thousand events; what takes longer hangs."""

_LAST_LINES = 5


@dataclass(frozen=True)
class Verification:
    """A package did what its sample shows.

    Attributes:
        name: Name of the package's command.
        command: The installed command that was run.
        rows_in: Events of the sample, those that do not decode included.
        rows_out: Rows it gave, equal to the expected ones.
        seconds: How long the engine ran.
        digest: What was verified: SHA-256 of the transforms, the tables, the schema
            and the pipeline file.
        output: The rows, in the order the command wrote them.
    """

    name: str
    command: str
    rows_in: int
    rows_out: int
    seconds: float
    digest: str
    output: pl.DataFrame = field(repr=False, compare=False)

    def __str__(self) -> str:
        """Return the result in two lines."""
        return (
            f"{self.name}: {self.rows_in:,} events gave {self.rows_out:,} rows, each "
            f"as expected ({self.seconds:.2f} s)\n"
            f"ran {self.command}, digest {self.digest[:12]}"
        )


@dataclass(frozen=True)
class Package:
    """An exported package's folder.

    Attributes:
        folder: The folder with ``pyproject.toml``.
        command: Name of the console script.
        module: Folder of the module.
    """

    folder: Path
    command: str
    module: Path

    @classmethod
    def at(cls, folder: Path) -> Package:
        """Read a package's names.

        Raises:
            UsageError: The folder holds no exported package.
        """
        try:
            text = (folder / "pyproject.toml").read_text(encoding="utf-8")
            scripts = tomllib.loads(text)["project"]["scripts"]
            (command, target) = next(iter(scripts.items()))
            package = cls(folder, command, folder / target.partition(".")[0])
            installed.file_of(package.module, "pipeline.toml")
        except (OSError, KeyError, StopIteration, tomllib.TOMLDecodeError) as error:
            message = f"{folder} does not hold an exported package"
            raise UsageError(message, hint="see streamlab export --help") from error
        return package


def verify(
    folder: Path | str, *, scripts: Path | str = "", timeout_s: float = TIMEOUT_S
) -> Verification:
    """Run a package's installed command on its sample and compare the output.

    The sample's events go as bytes through the format, the transforms and the local
    engine, in a process of its own.

    Args:
        folder: The package's folder, with ``pyproject.toml`` and ``sample/``.
        scripts: Folder of the console scripts of the environment in which the
            package is installed; that of this Python if empty.
        timeout_s: Seconds that the command may take.

    Returns:
        What was verified.

    Raises:
        UsageError: The folder holds no package, or its command is not installed.
        VerificationFailed: The command failed, is of another version than the
            folder, or gave other rows; the message shows the first that differs.
    """
    package = Package.at(Path(folder).resolve())
    command = _installed_command(package, scripts)
    with tempfile.TemporaryDirectory(prefix="streamlab-verify-") as temporary:
        path = Path(temporary) / "output.parquet"
        told = _run(package, command, path, timeout_s)
        output = pl.read_parquet(path)
    if told["digest"] != installed.digest(package.module):
        message = f"the installed {package.command} is not what {package.folder} holds"
        raise VerificationFailed(message, hint=_install_hint(package.folder))
    if told["dead_lettered"]:
        message = (
            f"{package.command} dead-lettered {told['dead_lettered']} of the "
            f"{told['rows_in']} events of its sample"
        )
        raise VerificationFailed(message)
    expected = pl.read_parquet(package.folder / EXPECTED)
    differs = difference(expected, output, aggregated=told["aggregated"])
    if differs:
        message = f"{package.command} does not give the expected output: {differs}"
        raise VerificationFailed(
            message,
            hint="if the new output is the right one, export the transform again",
        )
    return Verification(
        name=package.command,
        command=Path(command).name,
        rows_in=told["rows_in"],
        rows_out=output.height,
        seconds=told["seconds"],
        digest=told["digest"],
        output=output,
    )


def _installed_command(package: Package, scripts: Path | str) -> Path:
    folder = Path(str(scripts) or sysconfig.get_path("scripts")).resolve()
    command = folder / package.command
    if not command.exists():
        message = f"the command {package.command!r} is not installed in {folder}"
        raise UsageError(message, hint=_install_hint(package.folder))
    return command


def _install_hint(folder: Path) -> str:
    return f"pip install --find-links dist/ {folder}"


def _run(
    package: Package, command: Path, output: Path, timeout_s: float
) -> dict[str, Any]:
    """Run the command on the sample and return what it tells of itself."""
    arguments = ["--sample", str(package.folder / SAMPLE), "--output", str(output)]
    try:
        done = subprocess.run(
            [str(command), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=output.parent,
        )
    except subprocess.TimeoutExpired as error:
        message = f"{package.command} did not finish its sample in {timeout_s:g} s"
        raise VerificationFailed(message) from error
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        message = f"{package.command} ended with code {done.returncode}: {said}"
        raise VerificationFailed(message)
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told
