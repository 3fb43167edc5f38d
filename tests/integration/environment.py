"""A virtual environment of its own, with what is declared and nothing more.

It sees no other environment. Wheels are installed by pip; what they declare that they
need is linked from the environment of the tests, one distribution after another, so
that nothing is downloaded. What is not declared is not there.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Environment:
        """Make an empty one, without pip."""
        venv.create(folder, with_pip=False, symlinks=True, system_site_packages=False)
        return cls(folder)

    @property
    def scripts(self) -> Path:
        """Return the folder of its commands."""
        return self.folder / "bin"

    @property
    def packages(self) -> Path:
        """Return the folder of its packages."""
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder)}))

    def install(self, *wheels: Path) -> None:
        """Have pip install wheels, without what they need."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.scripts / "python")]
        how = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *how, *map(str, wheels)], check=True)

    def link(self, requirement: str) -> None:
        """Link what a distribution needs that is installed in this environment."""
        for name in sorted(self._needed(requirement)):
            for path in importlib.metadata.distribution(name).files or ():
                top = path.parts[0]
                link = self.packages / top
                if top not in {"..", "__pycache__"} and not link.exists():
                    link.symlink_to(
                        importlib.metadata.distribution(name).locate_file(top)
                    )

    def run(self, *words: str, folder: Path) -> str:
        """Run a command without our own path, and return its output."""
        own = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
        variables = {name: os.environ[name] for name in os.environ.keys() - own}
        variables["PATH"] = f"{self.scripts}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [str(self.scripts / words[0]), *words[1:]],
            cwd=folder,
            env=variables,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _needed(self, requirement: str) -> set[str]:
        """Return the distributions behind a requirement that are not installed here."""
        here = [str(self.packages)]
        own = {
            canonicalize_name(one.metadata["Name"]): one
            for one in importlib.metadata.distributions(path=here)
        }
        seen: set[tuple[str, str]] = set()
        waiting = [Requirement(requirement)]
        while waiting:
            wanted = waiting.pop()
            name = canonicalize_name(wanted.name)
            found = own.get(name) or importlib.metadata.distribution(name)
            for extra in {"", *wanted.extras}:
                if (name, extra) not in seen:
                    seen.add((name, extra))
                    waiting += _applying(found.requires or (), extra)
        return {name for name, _ in seen} - own.keys()


def _applying(lines: Iterable[str], extra: str) -> list[Requirement]:
    """Return the requirements that hold here, with or without an extra."""
    found = [Requirement(line) for line in lines]
    return [
        one
        for one in found
        if one.marker is None or one.marker.evaluate({"extra": extra})
    ]
