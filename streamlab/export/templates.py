"""The texts of an exported package around its transforms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

REPORT = "verify.ipynb"


@dataclass(frozen=True)
class Words:
    """What the texts of a package are filled with.

    Attributes:
        name: Name of the pipeline: of the folder and the command.
        project: Name of the distribution.
        module: Name of the package's module.
        functions: Names of the transforms.
        requirements: What the package needs to be installed.
        test_requirement: What its test needs besides.
        plan: The plan of the pipeline as text.
        picture: The pipeline as a Mermaid diagram.
        sample: One line that says what the sample is.
    """

    name: str
    project: str
    module: str
    functions: Sequence[str]
    requirements: Sequence[str]
    test_requirement: str
    plan: str
    picture: str
    sample: str


def texts(words: Words) -> dict[str, str]:
    """Return relative path → text, for every file that is made from a template."""
    module = words.module
    return {
        "pyproject.toml": _filled(_PYPROJECT, words),
        "README.md": _filled(_README, words),
        REPORT: _notebook(words),
        f"{module}/__init__.py": _filled(_INIT, words),
        f"{module}/worker.py": _filled(_WORKER, words),
        f"tests/test_{module}.py": _filled(_TEST, words),
    }


def _filled(template: str, words: Words) -> str:
    requirements = "".join(f"  {json.dumps(one)},\n" for one in words.requirements)
    return Template(template).substitute(
        name=words.name,
        project=words.project,
        module=words.module,
        functions=", ".join(f"`{name}`" for name in words.functions),
        requirements=requirements,
        test_requirement=json.dumps(words.test_requirement),
        plan=words.plan.strip(),
        picture=words.picture.strip(),
        sample=words.sample,
    )


def _notebook(words: Words) -> str:
    """Return the report notebook; the ids are fixed so that exports agree."""
    cells = [
        _markdown("about", _filled(_NOTEBOOK_ABOUT, words)),
        _code("parameters", _NOTEBOOK_PARAMETERS, tags=["parameters"]),
        _code("verify", _NOTEBOOK_VERIFY),
        _markdown("output", "The first rows that the entry point wrote:\n"),
        _code("rows", "verification.output.head(10)\n"),
    ]
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _markdown(cell_id: str, text: str) -> dict[str, object]:
    lines = text.rstrip("\n").splitlines(keepends=True)
    return {"cell_type": "markdown", "id": cell_id, "metadata": {}, "source": lines}


def _code(cell_id: str, text: str, tags: Sequence[str] = ()) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": text.rstrip("\n").splitlines(keepends=True),
    }


_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "$project"
version = "0.1.0"
description = "The pipeline $name, exported by streamlab."
readme = "README.md"
requires-python = ">=3.11"
dependencies = [
$requirements]

[project.optional-dependencies]
test = [$test_requirement, "pytest>=8.3"]

[project.scripts]
$name = "$module.worker:main"

[tool.hatch.build.targets.wheel]
packages = ["$module"]

# Beside the module for people, inside of it where it is installed.
[tool.hatch.build.targets.wheel.force-include]
"pipeline.toml" = "$module/pipeline.toml"
"schema.yaml" = "$module/schema.yaml"
"""

_INIT = '''\
"""The pipeline $name, exported by streamlab."""
'''

_WORKER = '''\
"""The command $name: runs pipeline.toml with the transforms of this package."""

from __future__ import annotations

from pathlib import Path

from streamlab.cli import package


def main() -> int:
    """Run the pipeline until stopped; ``--help`` says what else there is."""
    return package.main(Path(__file__).parent)


if __name__ == "__main__":
    raise SystemExit(main())
'''

_TEST = '''\
"""The installed package does what its sample shows."""

from __future__ import annotations

from pathlib import Path

import streamlab as sl
from streamlab.pipelines.file import load

PACKAGE = Path(__file__).parents[1]


def test_the_entry_point_gives_the_expected_output() -> None:
    """The command $name turns the sample into the expected rows."""
    verification = sl.export.verify(PACKAGE)

    assert verification.rows_in > 0


def test_the_transforms_hold_what_a_stream_needs() -> None:
    """On the sample each row depends on one event, however the sample is cut."""
    transforms = load(PACKAGE).transforms
    sample = sl.Sample.load(PACKAGE / "sample" / "sample.parquet")

    evaluation = sl.evaluate(transforms, sample)

    assert evaluation.rows.kind != "failed", evaluation.rows.message
'''

_README = """\
# $name

A streaming pipeline, exported by streamlab from a notebook.

$picture

- `pipeline.toml` says where events come from and where rows go. Change it here.
- `$module/transform.py` has the transforms: $functions.
- `schema.yaml` has the schema of the events.
- `sample/` has real events and the rows that they must give: $sample.

## Run it

    pip install .
    $name --help
    $name                       # until stopped; SIGTERM finishes what is under way
    $name --until-caught-up     # until everything that is there was written

Servers are named by a profile of `streamlab.toml`, found from the working directory
upwards; no address and no password is in this package.

## Check it

    streamlab verify .          # runs the installed command on the sample
    pip install '.[test]' && pytest

## Plan

```text
$plan
```
"""

_NOTEBOOK_ABOUT = """\
# Does `$name` do what its sample shows?

This report runs the **installed** command `$name` in a process of its own, on the
events of `sample/sample.parquet` ($sample): from their bytes through the
format, the transforms and the engine. Its output must equal
`sample/expected.parquet`, row by row.
"""

_NOTEBOOK_PARAMETERS = """\
package = "."  # the folder with pyproject.toml
scripts = ""  # where the command is installed; this environment if empty
"""

_NOTEBOOK_VERIFY = """\
import streamlab as sl

verification = sl.export.verify(package, scripts=scripts)
print(verification)
"""
