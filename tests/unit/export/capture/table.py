"""The table of the docs: what an export carries and what it refuses.

``python -m tests.unit.export.capture.table`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.unit.export.capture.cases import CASES, Case

DOCS = Path(__file__).parents[4] / "docs" / "export.md"
BEGIN = "<!-- cases: made by python -m tests.unit.export.capture.table -->\n"
END = "<!-- end of cases -->\n"


GROUPS = {
    "import": "Imports",
    "constant": "Constants",
    "environment": "Values of the environment and of this machine",
    "secret": "Secrets and paths",
    "function": "Functions",
    "decorator": "Decorators",
    "lambda": "Lambdas, partials and closures",
    "class": "Classes and objects",
    "frame": "Frames and tables",
    "transform": "Transforms",
    "local": "Local files",
}
"""First word of a case's name → heading; other words are in the group before."""

_SAME = {
    **dict.fromkeys(("shell", "prompt", "settings"), "environment"),
    **dict.fromkeys(("lambdas", "partial", "closure"), "lambda"),
    **dict.fromkeys(("object", "method", "open", "generator"), "class"),
    "absolute": "secret",
    "table": "frame",
}


def table(cases: Iterable[Case]) -> str:
    """Return the tables as Markdown, one for each group of cases."""
    listed = list(cases)
    parts = []
    for group, heading in GROUPS.items():
        rows = "".join(_row(case) for case in listed if _group(case) == group)
        head = "| in the notebook | carried as, or refused with |\n|---|---|\n"
        parts.append(f"#### {heading}\n\n{head}{rows}")
    return "\n".join(parts)


def _group(case: Case) -> str:
    word = case.name.partition("-")[0]
    return _SAME.get(word, word)


def _row(case: Case) -> str:
    cells = (case.holds, _outcome(case))
    first, second = (one.replace("|", "\\|") for one in cells)
    return f"| {first} | {second} |\n"


def documented(text: str) -> str:
    """Return the table that a page has."""
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n") + "\n"


def _outcome(case: Case) -> str:
    if case.refused:
        return f"refused: `{case.refused}`"
    lines = [
        line.strip()
        for text in case.texts("carries")
        for line in text.rstrip("\n").split("\n")[:2]
        if line.strip()
    ]
    shown = [f"`{line}`" for line in lines]
    copied = " and ".join(f"`{path}`" for path in case.copies)
    return ", ".join(shown) + (f"; copied: {copied}" if copied else "")


if __name__ == "__main__":
    page = DOCS.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    text = f"{head}{BEGIN}\n{table(CASES)}\n{END}{tail}"
    DOCS.write_text(text, encoding="utf-8")
