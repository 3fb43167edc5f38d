"""The texts of an exported package around its transforms."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import Template

from streamlab.export import deployment, report_cells

REPORT = "verify.ipynb"
REPORT_SOURCE = "verify.py"
"""The same notebook as a py:percent script, to review and to compare."""

DEPLOYED_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The image and CI have the Python that the sample was run with."""


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
    cells = [
        replace(cell, text=_filled(cell.text, words)) for cell in report_cells.CELLS
    ]
    return {
        "pyproject.toml": _filled(_PYPROJECT, words),
        "README.md": _filled(_README, words),
        REPORT: report_cells.as_notebook(cells),
        REPORT_SOURCE: report_cells.as_percent(cells),
        deployment.IMAGE: _filled(deployment.IMAGE_TEXT, words),
        deployment.IMAGE_IGNORES: _filled(deployment.IMAGE_IGNORES_TEXT, words),
        deployment.WORKFLOW: _filled(deployment.WORKFLOW_TEXT, words),
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
        python=DEPLOYED_PYTHON,
    )


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

# The settings of a repository around this folder are not those of its test.
[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_INIT = '''\
"""The pipeline $name, exported by streamlab."""
'''

_WORKER = '''\
"""The command of this package: it runs pipeline.toml with its transforms."""

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
    """Its command turns the sample into the expected rows."""
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

| file | is |
|---|---|
| `pipeline.toml` | where events come from and where rows go; change it here |
| `$module/transform.py` | the transforms: $functions |
| `schema.yaml` | the schema of the events |
| `sample/` | real events and the rows that they must give: $sample |
| `tests/` | the test that runs the installed command on the sample |
| `verify.ipynb` | the same as a report; `verify.py` is its source, to review |
| `Dockerfile` | the worker as an image |
| `ci/verify.yml` | a workflow for GitHub Actions: copy it to `.github/workflows/` |

## Run it

    pip install .
    $name --help
    $name                       # until stopped; SIGTERM finishes what is under way
    $name --until-caught-up     # until everything that is there was written

Servers are named by a profile of `streamlab.toml`, found from the working directory
upwards; no address and no password is in this package. Where no package index has
streamlab, put its wheel into `dist/` and install with `--find-links dist/`.

As an image, with the settings and a folder for what the worker leaves:

    docker build --tag $project .
    docker run --volume ./streamlab.toml:/worker/streamlab.toml:ro $project

## Check it

    streamlab verify .          # runs the installed command on the sample
    pip install '.[test]' && pytest

Both need no server: the sample is replayed from its bytes.

## Plan

```text
$plan
```
"""
