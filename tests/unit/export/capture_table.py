"""The table of the docs: what an export carries and what it refuses.

``python -m tests.unit.export.capture_table`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.unit.export.capture_cases import CASES, Case

DOCS = Path(__file__).parents[3] / "docs" / "export.md"
BEGIN = "<!-- cases: made by python -m tests.unit.export.capture_table -->\n"
END = "<!-- end of cases -->\n"


def table(cases: Iterable[Case]) -> str:
    """Return the table as Markdown."""
    rows = "".join(f"| {case.holds} | {_outcome(case)} |\n" for case in cases)
    return f"| in the notebook | carried as, or refused with |\n|---|---|\n{rows}"


def documented(text: str) -> str:
    """Return the table that a page has."""
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n") + "\n"


def _outcome(case: Case) -> str:
    if case.refused:
        return f"refused: *{case.refused}*".replace("|", "\\|")
    shown = "`, `".join(
        line.strip().replace("|", "\\|")
        for text in case.texts("carries")
        for line in text.rstrip("\n").split("\n")[:2]
        if line.strip()
    )
    copied = "".join(f", with `{path}`" for path in case.copies)
    return f"`{shown}`{copied}"


if __name__ == "__main__":
    page = DOCS.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    text = f"{head}{BEGIN}\n{table(CASES)}\n{END}{tail}"
    DOCS.write_text(text, encoding="utf-8")
