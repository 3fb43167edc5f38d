"""The cells of a package's report, as a notebook and as its py:percent source.

papermill executes the notebook; the script is the same cells to review: what a change
to them means can be read in version control. Ids are fixed, so that exports agree.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

KERNEL = {
    "display_name": "Python 3 (ipykernel)",
    "language": "python",
    "name": "python3",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        name: Its id.
        text: Its source.
        kind: ``markdown`` or ``code``.
        tags: Such as ``parameters``, where papermill sets values.
    """

    name: str
    text: str
    kind: Literal["markdown", "code"] = "code"
    tags: tuple[str, ...] = ()


# What papermill shows while a cell runs is the one word behind papermill_description=.
# Source: papermill/engines.py, NotebookExecutionManager.get_cell_description
CELLS = (
    Cell(
        "about",
        """\
# Does `$name` do what its sample shows?

This report runs the **installed** command `$name` in a process of its own, on the
events of `sample/sample.parquet` ($sample): from their bytes through the
format, the transforms and the engine. Its output must equal
`sample/expected.parquet`, row by row.
""",
        kind="markdown",
    ),
    Cell(
        "imports",
        """\
# papermill_description=importing_streamlab
import streamlab as sl
""",
    ),
    Cell(
        "parameters",
        """\
package: str = "."  # the folder with pyproject.toml
scripts: str = ""  # where the command is installed; this environment if empty
timeout_s: float = 300.0  # 1..3600: how long the command may take
""",
        tags=("parameters",),
    ),
    Cell(
        "verify",
        """\
# papermill_description=running_the_installed_command
verification = sl.export.verify(package, scripts=scripts, timeout_s=timeout_s)
print(verification)
""",
    ),
    Cell("output", "The first rows that the command wrote:\n", kind="markdown"),
    Cell(
        "rows",
        """\
# papermill_description=showing_rows
verification.output.head(10)
""",
    ),
)


def as_notebook(cells: Sequence[Cell]) -> str:
    """Return the cells as a notebook without outputs, in the form Jupyter writes."""
    notebook = {
        "cells": [_node(cell) for cell in cells],
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def as_percent(cells: Sequence[Cell]) -> str:
    """Return the cells as a script, in the form jupytext writes.

    Its header keeps the kernel: without it papermill would not know what to start.
    """
    kernel = "".join(f"#     {name}: {value}\n" for name, value in KERNEL.items())
    header = (
        "# ---\n# jupyter:\n#   jupytext:\n#     text_representation:\n"
        "#       extension: .py\n#       format_name: percent\n"
        f"#   kernelspec:\n{kernel}# ---\n"
    )
    return "\n".join([header, *map(_percent, cells)])


def _node(cell: Cell) -> dict[str, object]:
    node: dict[str, object] = {
        "cell_type": cell.kind,
        "id": cell.name,
        "metadata": {"tags": list(cell.tags)} if cell.tags else {},
        "source": cell.text.rstrip("\n").splitlines(keepends=True),
    }
    if cell.kind == "code":
        node |= {"execution_count": None, "outputs": []}
    return dict(sorted(node.items()))


def _percent(cell: Cell) -> str:
    if cell.kind == "markdown":
        lines = (f"# {line}".rstrip() for line in cell.text.splitlines())
        return "# %% [markdown]\n" + "".join(f"{line}\n" for line in lines)
    tags = f" tags={json.dumps(cell.tags)}" if cell.tags else ""
    return f"# %%{tags}\n{cell.text}"
