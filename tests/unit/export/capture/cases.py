"""The cases of ``cases.txt``, which says how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START = "import polars as pl\nimport streamlab as sl\n"
"""The first cell of each case."""

SECRET = "hunter2-hunter2"
"""The secret that the cases have in texts, and in the environment."""

_FILE = Path(__file__).with_name("cases.txt")


@dataclass(frozen=True)
class Case:
    """One thing that a notebook holds.

    Attributes:
        name: A name for the test.
        holds: What is in the notebook, in the words of the docs.
        parts: Kind and text of what follows.
    """

    name: str
    holds: str
    parts: tuple[tuple[str, str], ...]

    def texts(self, kind: str) -> list[str]:
        """Return the texts of one kind."""
        return [text for found, text in self.parts if found == kind]

    @property
    def files(self) -> dict[str, str]:
        """Return name → text of the files beside the notebook."""
        return {
            kind.removeprefix("file "): text
            for kind, text in self.parts
            if kind.startswith("file ")
        }

    @property
    def refused(self) -> str:
        """Return a part of the sentence that it is refused with."""
        return "".join(self.texts("refused")).strip()

    @property
    def secret(self) -> str:
        """Return what must not be shown."""
        return "".join(self.texts("secret")).strip()

    @property
    def copies(self) -> tuple[str, ...]:
        """Return the files that are copied."""
        return tuple("".join(self.texts("copies")).split())

    @property
    def transforms(self) -> tuple[str, ...]:
        """Return the names of the transforms."""
        return tuple("".join(self.texts("transforms")).split()) or ("delayed",)


def _cases() -> Iterator[Case]:
    text = _FILE.read_text(encoding="utf-8")
    for block in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, *parts = re.split(r"^--- ", block.rstrip("\n") + "\n", flags=re.MULTILINE)
        name, holds = head.strip().split("\n")
        pairs = (part.partition("\n") for part in parts)
        yield Case(name, holds, tuple((kind, body) for kind, _, body in pairs))


CASES = tuple(_cases())
