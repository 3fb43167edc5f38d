"""The other side of a proof: the generated module, in a process without a notebook.

``python -m streamlab.export.proof_process FOLDER ANSWERS`` loads the package in
``FOLDER`` as a worker does, applies its transforms to its sample, and writes into
``ANSWERS`` what came out: ``answer.json`` and ``output.parquet``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamlab.errors import StreamlabError
from streamlab.export.capture import literals
from streamlab.export.verification import SAMPLE
from streamlab.operators.whole import rows_of
from streamlab.pipelines import file
from streamlab.taps.sample import Sample

ANSWER = "answer.json"
OUTPUT = "output.parquet"
ABSENT = ("IPython", "ipykernel", "ipywidgets", "streamlab.notebook")
"""What cannot be imported here, as where it is not installed."""

_OF_ONE_PROCESS = re.compile(r" at 0x[0-9a-f]+|__main__\.|[\w.]+\.transform\.")
"""Parts of a ``repr`` that say where a thing lies, and not what it is."""


def main(folder: Path, answers: Path, names: Sequence[str]) -> None:
    """Run the package on its sample and write the answers.

    Args:
        folder: The package that was just made.
        answers: Where the answers go.
        names: Constants to tell the values of.
    """
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it then fails
    try:
        answer = _proved(folder, answers / OUTPUT, names)
    except StreamlabError as error:
        answer = {"failed": error.message}
    (answers / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def _proved(folder: Path, output: Path, names: Sequence[str]) -> dict[str, Any]:
    pipeline = file.load(folder)
    sample = Sample.load(folder / SAMPLE)
    rows = rows_of(
        pipeline.transforms, sample.frame, pipeline.input.schema, pipeline.folder
    )
    rows.write_parquet(output)
    (code,) = folder.glob("*/transform.py")
    module = sys.modules.get(f"{code.parent.name}.transform")  # none without transforms
    return {"constants": {name: told(getattr(module, name, None)) for name in names}}


def told(value: object) -> str:
    """Return a value as the text that it is compared by: types and order included."""
    if literals.is_literal(value):
        return literals.literal(value)
    named = f"{type(value).__qualname__} {value!r}"
    return _OF_ONE_PROCESS.sub("", named)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
