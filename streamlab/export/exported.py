"""What an export wrote, as a value that says what to do with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from streamlab.export.capture.pieces import Taken
from streamlab.export.proof import Proof, counted
from streamlab.pipelines.file import FILE_NAME

_PURPOSES = {
    ".dockerignore": "what an image is not made of",
    "Dockerfile": "the worker as an image",
    "README.md": "how to run and check it, and its plan",
    "ci/*": "a workflow for GitHub Actions, to copy",
    "*/__init__.py": "the package's module",
    "*/transform.py": "the transforms and what they need",
    "*/worker.py": "the command",
    "*/tables/*": "a static table",
    "pipeline.toml": "where events come from and rows go",
    "pyproject.toml": "the project: version, requirements, command",
    "sample/sample.parquet": "events to test it on",
    "sample/expected.parquet": "the rows that they must give",
    "schema.yaml": "the schema of the events",
    "tests/*": "its test",
    "verify.ipynb": "the report of streamlab verify",
    "verify.py": "the report's source, to review",
    "*.py": "a local file that the transforms import",
}
"""Pattern of a file's path → what it is."""


@dataclass(frozen=True)
class Exported:
    """A package that was written.

    Attributes:
        name: Name of the pipeline and of the package's command.
        folder: The package's folder.
        files: Its files, relative to the folder.
        size_bytes: What they take together.
        topic: Topic of the sample.
        rows_in: Events of the sample.
        rows_out: Rows that they give.
        proof: That the package does in a fresh process what the live objects do.
        taken: Where each piece of the module was taken from: ``In[3]``, or a file.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    size_bytes: int
    topic: str
    rows_in: int
    rows_out: int
    proof: Proof
    taken: tuple[Taken, ...] = ()

    @property
    def pipeline_file(self) -> Path:
        """Return the package's pipeline file."""
        return self.folder / FILE_NAME

    @property
    def next_commands(self) -> tuple[tuple[str, str], ...]:
        """Return what to do with it: what for, and the command."""
        return (
            ("install it", f"pip install --find-links dist/ {self.folder}"),
            ("verify it", f"streamlab verify {self.folder}"),
            ("run it", f"{self.name} --until-caught-up"),
        )

    @property
    def told_origin(self) -> str:
        """Return where the code was taken from, in one line; "" if there is none."""
        listed = ", ".join(map(str, self.taken))
        return f"took {listed}; edits that were not run are not in it" if listed else ""

    def purposes(self) -> Iterator[tuple[str, str]]:
        """Yield each file, and what it is."""
        for name in self.files:
            fitting = (text for p, text in _PURPOSES.items() if fnmatchcase(name, p))
            yield name, next(fitting, "")

    def __str__(self) -> str:
        """Return what was written, its proof and what to do with it."""
        width = max(map(len, self.files))
        head = (
            f"wrote {self.folder}: {counted(self.rows_in, 'sample event')} of topic "
            f"{self.topic} give {counted(self.rows_out, 'row')}"
        )
        lines = [head, f"proved: {self.proof}", *filter(None, [self.told_origin])]
        lines += [
            f"  {name:<{width}}  {what}".rstrip() for name, what in self.purposes()
        ]
        lines += [f"{what + ':':<12} {line}" for what, line in self.next_commands]
        return "\n".join(lines)
