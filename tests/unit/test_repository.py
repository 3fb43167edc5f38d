"""What every file of the repository keeps to."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from streamlab.cli import COMMANDS
from streamlab.headless.rendering import MAX_BYTES, differing

ROOT = Path(__file__).parents[2]
LARGE_BYTES = 1_000_000
BINARY = {".png", ".parquet", ".checkpoint", ".ico"}

# The home of "me" is nobody's: examples in documentation and tests use it.
HOME_FOLDERS = re.compile(r"(?<![\w.}/])/(?:home|root|Users|work)/(?!me\b)\w")
LOCK_WITH_ADDRESS = re.compile(r"https?://|--(?:extra-)?index-url|--find-links")
FORBIDDEN_CALLS = {"eval", "exec", "pickle.loads", "pickle.load", "yaml.load"}


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files that git tracks or would track, those of exports included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def texts(*suffixes: str) -> list[Path]:
    """Return the tracked text files, of some suffixes or of all."""
    return [
        path
        for path in tracked()
        if path.suffix not in BINARY and (not suffixes or path.suffix in suffixes)
    ]


def name_of(path: Path) -> str:
    """Return a path as a person would write it."""
    return str(path.relative_to(ROOT))


def test_no_file_names_a_folder_of_one_machine() -> None:
    """No file holds an absolute path into somebody's home."""
    found = [
        name_of(path)
        for path in texts()
        if HOME_FOLDERS.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_search_for_folders_finds_one() -> None:
    """The pattern above sees a home folder, and not the middle of an address."""
    assert HOME_FOLDERS.search(f"open('/{'home'}/ada/x')")
    assert not HOME_FOLDERS.search("https://example.org/home/page")


@pytest.mark.parametrize("name", ["requirements.lock", "benchmarks/peers.lock"])
def test_lock_names_no_host_and_every_hash(name: str) -> None:
    """A lock file pins by hash and does not say where to download from."""
    text = (ROOT / name).read_text(encoding="utf-8")
    pins = re.findall(r"^[A-Za-z0-9][\w.-]*==.*$", text, re.MULTILINE)
    assert not LOCK_WITH_ADDRESS.search(text)
    assert pins
    assert all(pin.endswith("\\") for pin in pins)  # its hashes follow


def test_lock_has_every_dependency() -> None:
    """Each dependency that the project names is in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    for group in project["dependency-groups"].values():
        wanted += [each for each in group if isinstance(each, str)]
    names = {re.split(r"[\[<>=!~ ;]", each, maxsplit=1)[0].lower() for each in wanted}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
    missing = {name for name in names - {"streamlab-data"} if f"\n{name}==" not in lock}
    assert missing == set()


def test_toml_and_yaml_files_can_be_read() -> None:
    """Each TOML and YAML file is one."""
    for path in texts(".toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))
    for path in texts(".yaml", ".yml"):
        yaml.safe_load(path.read_text(encoding="utf-8"))


def test_files_end_with_one_newline() -> None:
    """Each text file ends with exactly one newline, empty ones aside."""
    wrong = []
    for path in texts():
        if path.suffix == ".ipynb":  # Jupyter writes them
            continue
        text = path.read_text(encoding="utf-8")
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            wrong.append(name_of(path))
    assert wrong == []


def test_no_file_is_large() -> None:
    """Nothing of more than a megabyte is kept in git."""
    assert [name_of(p) for p in tracked() if p.stat().st_size > LARGE_BYTES] == []


def test_modules_stay_small() -> None:
    """No module of the package has more than 450 lines."""
    long = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in texts(".py")
        if (ROOT / "streamlab") in path.parents
    }
    assert {name: lines for name, lines in long.items() if lines > 450} == {}


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
OF_A_MACHINE = re.compile(
    r"""20(?:2[4-9]|[3-9]\d)-\d\d-\d\d     # a time of a run; the data are of 2013
      | (?:127\.0\.0\.1|localhost):\d     # a port
      | (?<![\w.}/])/(?:home|root|Users|tmp|work|var|private)/
      | widget-(?:view|state) | "papermill" | "execution":
    """,
    re.VERBOSE,
)


def test_notebooks_and_their_sources_agree() -> None:
    """Each source has an executed notebook beside it, with its cells, in order."""
    for source in (ROOT / "notebooks").glob("*.py"):
        assert differing(source) == ""
    assert [p for p in NOTEBOOKS if not p.with_suffix(".py").exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_kept_notebook_is_small_and_of_no_machine(path: Path) -> None:
    """At most 500 kB; no run's time, no path, no port, no widget, no metadata."""
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= MAX_BYTES
    assert OF_A_MACHINE.findall(text) == []
    cells = json.loads(text)["cells"]
    counts = [c["execution_count"] for c in cells if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_kept_notebook_can_be_read_without_style(path: Path) -> None:
    """Each display has a text beside its HTML, and no style or script."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            html = "".join(output.get("data", {}).get("text/html", ""))
            assert not html or "text/plain" in output["data"]
            assert "<style" not in html
            assert "<script" not in html


def test_the_search_for_a_machine_finds_one() -> None:
    """The negative control of the pattern above."""
    for text in ("2026-11-25 15:56", "127.0.0.1:9092", '"/tmp/x"', '"papermill": {}'):
        assert OF_A_MACHINE.search(text)
    assert not OF_A_MACHINE.search("2013-12-31 127.0.0.1:… https://e.org/home/x")


def test_the_workflow_of_the_documentation_can_run() -> None:
    """Each command of the CI workflow in docs/notebooks.md exists with its options."""
    text = (ROOT / "docs/notebooks.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(on:.*?|name:.*?)```", text, re.DOTALL)
    (job,) = yaml.safe_load(block)["jobs"].values()
    lines = "\n".join(step.get("run", "") for step in job["steps"])
    commands = [
        shlex.split(line)
        for line in lines.replace("\\\n", " ").splitlines()
        if line.startswith("streamlab ")
    ]
    assert len(commands) >= 3
    for _, name, *words in commands:
        module = importlib.import_module(f"streamlab.cli.{COMMANDS[name][0]}")
        parser = argparse.ArgumentParser(exit_on_error=False)
        module.add(name, parser)
        for path in [w for w in words if w.startswith("notebooks/") and "*" not in w]:
            assert (ROOT / path).exists()
        parser.parse_args(words)
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert any(each.startswith("actions/upload-artifact@") for each in uses)


def test_package_evaluates_no_data() -> None:
    """The package has no call that would run what a message or a file holds.

    Code of the user's own is run where that is the purpose, and says so beside it.
    """
    found = []
    for path in texts(".py"):
        if (ROOT / "streamlab") not in path.parents:
            continue
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
                line = lines[node.lineno - 1]
                if "the user's own" not in line:
                    found.append(f"{name_of(path)}:{node.lineno}")
    assert found == []


def test_widgets_write_no_markup() -> None:
    """The modules that run in a browser set text, never markup."""
    found = [
        name_of(path)
        for path in texts(".js")
        if re.search(
            r"inner" + r"HTML|outer" + r"HTML|insertAdjacent", path.read_text()
        )
    ]
    assert found == []


def test_make_help_lists_every_target() -> None:
    """Each phony target of the Makefile says what it does."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    block = re.search(r"^\.PHONY: (.*?)[^\\]\n", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    phony = set(re.findall(r"[a-z-]+", block.group()))
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert explained == phony


def test_documentation_names_every_command() -> None:
    """Each command of ``streamlab`` is in docs/cli.md, and nothing else is."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `streamlab ([a-z]+)", text, re.MULTILINE)
    assert documented == list(COMMANDS)


@pytest.mark.parametrize("entry", ["README.md", "CONTRIBUTING.md", "docs/index.md"])
def test_links_lead_somewhere(entry: str) -> None:
    """Relative links of the entry pages lead to files that are there."""
    path = ROOT / entry
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8"))
    assert [t for t in targets if not (path.parent / t).exists()] == []


def test_every_page_is_in_the_index() -> None:
    """Each page of docs/ is linked from docs/index.md."""
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
