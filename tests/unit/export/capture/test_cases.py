from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from IPython.core.interactiveshell import InteractiveShell

from streamlab.contracts import Schema
from streamlab.export.capture.capturing import capture
from streamlab.export.capture.pieces import Captured
from streamlab.export.module import text_of
from streamlab.export.tables import gathered
from streamlab.transforms.application import prepare
from tests.unit.export.capture.cases import CASES, SECRET, START, Case
from tests.unit.export.capture.table import DOCS, GROUPS, documented, table

ROOT = Path(__file__).parents[4]
CARRIED = [case for case in CASES if not case.refused]
EVENTS = pl.DataFrame({"carrier": ["UA", "AA", "B6"], "arr_delay": [20, 12, 99]})
FRAME = pl.DataFrame(
    {
        "_topic": ["flights"] * 3,
        "_partition": pl.Series([0, 1, 0], dtype=pl.Int32),
        "_offset": [5, 0, 6],
        "_timestamp": pl.Series([0, 1, 2]).cast(pl.Datetime("ms", "UTC")),
        "_key": [b"UA", None, b"B6"],
    }
).hstack(EVENTS)
SCHEMA = Schema.of(EVENTS.schema, "flights")

FRESH = """\
import importlib, json, sys
from pathlib import Path
import polars as pl
from streamlab.contracts import Schema
from streamlab.transforms.application import prepare

folder, names = Path(sys.argv[1]), json.loads(sys.argv[2])
sys.path.insert(0, str(folder))
frame = pl.read_parquet(folder / "frame.parquet")
schema = Schema.of(frame.select("carrier", "arr_delay").schema, "flights")
for package, transforms in names.items():
    try:
        module = importlib.import_module(f"{package}.transform")
        made = [getattr(module, name) for name in transforms]
        prepare(made, schema, folder).apply(frame).write_parquet(
            folder / f"{package}.parquet"
        )
    except Exception as error:
        (folder / f"{package}.error").write_text(f"{type(error).__name__}: {error}")
assert "IPython" not in sys.modules
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a case: what was captured, its module, and the live output."""

    captured: Captured
    text: str
    again: str
    live: pl.DataFrame | None


def package_of(case: Case) -> str:
    """Return the name of the package that a case is written as."""
    return "case_" + case.name.replace("-", "_")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the packages are written to."""
    return tmp_path_factory.mktemp("cases")


@pytest.fixture(scope="session")
def outcomes(shell: InteractiveShell, folder: Path) -> Callable[[Case], Outcome]:
    """Return a function that runs a case in a real shell, once, and exports it."""
    known: dict[str, Outcome | Exception] = {}

    def outcome(case: Case) -> Outcome:
        if case.name not in known:
            try:
                known[case.name] = _outcome(case, shell, folder)
            except Exception as error:  # noqa: BLE001 -- each case's test tells its own
                known[case.name] = error
        found = known[case.name]
        if isinstance(found, Exception):
            raise found
        return found

    return outcome


def _outcome(case: Case, shell: InteractiveShell, folder: Path) -> Outcome:
    beside = folder / f"beside_{package_of(case)}"
    for path, text in case.files.items():
        (beside / path).parent.mkdir(parents=True, exist_ok=True)
        (beside / path).write_text(text)
    shell.reset()
    shell.compile.reset_compiler_flags()  # of a case with __future__
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(beside))
    os.environ["CAPTURE_MODE"] = SECRET
    try:
        for text in (START, *case.texts("cell")):
            shell.run_cell(text, store_history=True).raise_error()
        transforms = [shell.user_ns[name] for name in case.transforms]
        captured, again = capture(transforms), capture(transforms)
        files = gathered(transforms, Path())
        words = "Transforms of a case."
        text = text_of(captured, files.stems, docstring=words)
        live = None
        if not case.refused:
            live = prepare(transforms, SCHEMA, folder).apply(FRAME)
            _write(folder / package_of(case), text, captured, dict(files.files))
        return Outcome(
            captured, text, text_of(again, files.stems, docstring=words), live
        )
    finally:
        del os.environ["CAPTURE_MODE"]
        sys.path[:] = path
        tops = {Path(name).parts[0].removesuffix(".py") for name in case.files}
        for name in set(sys.modules) - before:
            if name.partition(".")[0] in tops:
                del sys.modules[name]


def _write(
    package: Path, text: str, captured: Captured, tables: dict[str, bytes]
) -> None:
    contents = {"__init__.py": b'"""A case."""\n', "transform.py": text.encode()}
    contents |= {path: one.encode() for path, one in captured.modules.items()}
    contents |= {f"tables/{stem}.parquet": one for stem, one in tables.items()}
    contents |= {f"tables/{one.file}": one.content for one in captured.frames}
    for path, content in contents.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_bytes(content)


@pytest.fixture(scope="session")
def fresh(
    outcomes: Callable[[Case], Outcome], folder: Path
) -> Callable[[Case], pl.DataFrame]:
    """Return a function that gives what a package does in a fresh process."""
    names: dict[str, tuple[str, ...]] = {}
    for case in CARRIED:
        with contextlib.suppress(Exception):  # another test tells it
            outcomes(case)
        names[package_of(case)] = case.transforms
    FRAME.write_parquet(folder / "frame.parquet")
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(folder), json.dumps(names)],
        cwd=folder,
        env={**os.environ, "CAPTURE_MODE": SECRET},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

    def output(case: Case) -> pl.DataFrame:
        error = folder / f"{package_of(case)}.error"
        assert not error.exists(), error.read_text()
        return pl.read_parquet(folder / f"{package_of(case)}.parquet")

    return output


def cases(several: list[Case] | tuple[Case, ...]) -> pytest.MarkDecorator:
    """Return the parameters of a test of several cases."""
    return pytest.mark.parametrize("case", several, ids=lambda case: case.name)


@cases(CASES)
def test_a_case_is_carried_or_refused_as_the_docs_say(
    case: Case, outcomes: Callable[[Case], Outcome]
) -> None:
    """What is carried is in the module; what is not is refused with its sentence."""
    outcome = outcomes(case)
    problems = "\n".join(outcome.captured.problems)

    if case.refused:
        assert case.refused in problems
        return
    assert not problems
    assert [text for text in case.texts("carries") if text not in outcome.text] == []
    lacks = [text.strip("\n") for text in case.texts("lacks")]
    assert [text for text in lacks if text in outcome.text] == []
    assert tuple(outcome.captured.modules) == case.copies


@cases(CARRIED)
def test_a_carried_case_does_in_a_fresh_process_what_it_does_in_the_notebook(
    case: Case,
    outcomes: Callable[[Case], Outcome],
    fresh: Callable[[Case], pl.DataFrame],
) -> None:
    """The generated module has no notebook around it and gives the same rows."""
    live = outcomes(case).live

    assert live is not None
    assert not live.is_empty()
    assert fresh(case).equals(live)
    assert fresh(case).schema == live.schema


@cases(CARRIED)
def test_a_case_gives_the_same_text_twice(
    case: Case, outcomes: Callable[[Case], Outcome]
) -> None:
    """Nothing in a module depends on anything but the live objects."""
    assert outcomes(case).again == outcomes(case).text


@cases([case for case in CASES if case.secret])
def test_no_case_shows_a_secret(
    case: Case, outcomes: Callable[[Case], Outcome]
) -> None:
    """Neither a sentence nor anything that is written has the value."""
    captured = outcomes(case).captured

    assert case.secret not in "\n".join(captured.problems)
    if "secret" not in case.name:
        assert case.secret not in outcomes(case).text


def test_the_modules_pass_the_projects_ruff(
    outcomes: Callable[[Case], Outcome], folder: Path
) -> None:
    """Lint rules and formatting hold; docstrings and types are the author's own."""
    for case in CARRIED:
        outcomes(case)
    paths = [str(folder / package_of(case) / "transform.py") for case in CARRIED]
    config = ["--config", str(ROOT / "pyproject.toml")]
    own = "D,ANN,A001,ARG,B006,ICN,INP001,N,PD,PLC,PLR,PYI,RUF,UP"

    checked = _ruff(folder, "check", *config, "--ignore", own, *paths)
    formatted = _ruff(folder, "format", "--diff", *config, *paths)

    assert checked.returncode == 0, checked.stdout
    assert formatted.returncode == 0, formatted.stdout


def _ruff(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache"],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_docs_have_the_table_of_the_cases() -> None:
    """The table is written by ``python -m tests.unit.export.capture.table``."""
    assert documented(DOCS.read_text()) == table(CASES)


def test_every_case_has_a_name_of_its_own() -> None:
    """Two cases of one name would hide one of them."""
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_case_is_in_the_table() -> None:
    """A case whose name begins otherwise would be in no group."""
    headings = len(GROUPS)

    assert table(CASES).count("\n| ") == len(CASES) + headings
