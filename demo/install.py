"""An installed export: the wheel of streamlab and the package, beside the sources."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

QUIET = ["--quiet", "--disable-pip-version-check"]


def wheel(folder: Path) -> None:
    """Build the wheel of this checkout into a folder."""
    _run("build", "--wheel", "--no-isolation", "--outdir", str(folder), ".")


def environment(folder: Path) -> Path:
    """Make a virtual environment with the dependencies but without streamlab.

    It sees the packages of this environment through a path file. Only plain
    packages are seen so: the editable install of streamlab is not, because path
    files of the other environment are not read.

    Returns:
        Its folder of commands.
    """
    venv.create(folder, clear=True, with_pip=False, symlinks=True)
    inside = sysconfig.get_path("purelib", vars={"base": str(folder)})
    outside = sysconfig.get_path("purelib")
    path_file = Path(inside) / "dependencies.pth"
    path_file.write_text(outside + "\n", encoding="utf-8")
    return folder / "bin"


def install(commands: Path, package: Path, wheels: Path) -> None:
    """Install streamlab's wheel and an exported package into an environment."""
    into = ["--python", str(commands / "python")]
    how = [
        "--no-deps",
        "--no-build-isolation",
        "--find-links",
        str(wheels),
        "--no-index",
    ]
    _run("pip", *QUIET, *into, "install", *how, "--ignore-installed", "streamlab-data")
    _run("pip", *QUIET, *into, "install", *how, str(package))


def verify(commands: Path, package: Path, *, folder: Path) -> None:
    """Run the installed command on the package's sample, as its report does."""
    _check([str(commands / "streamlab"), "verify", str(package)], folder=folder)


def _run(*module_and_arguments: str) -> None:
    _check([sys.executable, "-m", *module_and_arguments], folder=Path.cwd())


def _check(command: list[str], *, folder: Path) -> None:
    """Run a command; show what it said only if it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        message = f"{' '.join(command[:4])} … failed:\n{done.stdout}"
        raise RuntimeError(message)
