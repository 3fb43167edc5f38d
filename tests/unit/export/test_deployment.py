"""The image and the workflow of a package, read as their own tools read them.

No linter of container files can be fetched by every test run, and nothing here builds
an image; so the rules that matter are checked by reading the file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from streamlab.export import deployment
from streamlab.export.deployment import HEALTH_CHECK, HEALTH_PORT
from streamlab.export.templates import Words, texts
from streamlab.observe.server import StatusServer
from streamlab.observe.status import WorkerStatus

WORDS = Words(
    name="late_flights",
    project="late-flights",
    module="late_flights",
    functions=["delayed"],
    requirements=["streamlab-data==0.1.0"],
    test_requirement="streamlab-data[verify]==0.1.0",
    plan="plan",
    picture="picture",
    sample="3 of topic flights",
)
MADE = texts(WORDS)
IMAGE = MADE[deployment.IMAGE]
PINNED = re.compile(r"python:3\.\d+-slim-[a-z]+( AS [a-z]+)?")
SECRET = re.compile(r"passw|secret|token|credential|api_?key", re.IGNORECASE)


def instructions(text: str) -> list[tuple[str, str]]:
    """Return keyword and rest of each instruction, continued lines joined."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (line.split(None, 1)[0], line.split(None, 1)[1])
        for line in joined.splitlines()
        if line.strip()
    ]


def is_exec_form(command: str) -> bool:
    """Return whether a command is a JSON list of words, which starts no shell."""
    try:
        words = json.loads(command)
    except ValueError:
        return False
    return isinstance(words, list) and all(isinstance(word, str) for word in words)


def complaints(text: str) -> list[str]:
    """Return what is wrong with a container file."""
    steps = instructions(text)
    of = {
        keyword: [rest for key, rest in steps if key == keyword] for keyword, _ in steps
    }
    health = of.get("HEALTHCHECK", [""])[-1].partition("CMD ")[2]
    checks = {
        "a base image is not pinned": all(map(PINNED.fullmatch, of.get("FROM", [""]))),
        "it runs as root": of.get("USER", ["root"])[-1] not in {"root", "0"},
        "a shell gets the signals": is_exec_form(of.get("ENTRYPOINT", [""])[-1]),
        "there is no health check": is_exec_form(health),
        "it fetches by itself": "ADD" not in of,
        "it sets a secret": not any(
            SECRET.search(rest)
            for key in ("ENV", "ARG", "RUN")
            for rest in of.get(key, [])
        ),
        "it copies everything": not any(
            rest.split()[0] in {".", "*", "/"} for rest in of.get("COPY", [])
        ),
    }
    return [what for what, holds in checks.items() if not holds]


def test_the_image_keeps_to_the_rules() -> None:
    """Pinned base, no root, no shell, health, no secret, only named files."""
    assert complaints(IMAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("-slim-bookworm AS build", ":latest AS build", "not pinned"),
        ("USER 10001", "USER root", "as root"),
        ("USER 10001\n", "", "as root"),
        (
            'ENTRYPOINT ["late_flights", "--port", "9400"]',
            "ENTRYPOINT late_flights",
            "shell",
        ),
        ("HEALTHCHECK", "#HEALTHCHECK", "no health"),
        ("ENV PATH", "ENV KAFKA_PASSWORD=x PATH", "secret"),
        ("COPY late_flights/ late_flights/", "COPY . .", "everything"),
        ("COPY pyproject", "ADD pyproject", "fetches"),
    ],
)
def test_the_rules_see_what_breaks_them(old: str, new: str, says: str) -> None:
    """The negative controls: each rule above fails on a file that breaks it."""
    assert old in IMAGE
    text = IMAGE.replace(old, new)
    if new.startswith("#"):
        text = re.sub(r"#HEALTHCHECK.*\\\n", "#", text)

    (complaint,) = complaints(text)
    assert says in complaint


def test_everything_that_is_copied_is_in_the_context() -> None:
    """What .dockerignore leaves out cannot be copied, and the sample is left out."""
    kept = [
        line[1:].rstrip("/")
        for line in MADE[deployment.IMAGE_IGNORES].splitlines()
        if line.startswith("!")
    ]
    copied = [
        source.rstrip("/")
        for keyword, rest in instructions(IMAGE)
        if keyword == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]

    assert set(copied) - {"dist*"} == set(kept) - {"dist/*.whl"}
    assert "*" in MADE[deployment.IMAGE_IGNORES].splitlines()


def test_the_entry_point_is_the_packages_command_on_the_port_of_its_health() -> None:
    """The command, its port and the port that the health check asks agree."""
    steps = dict(instructions(IMAGE))

    assert json.loads(steps["ENTRYPOINT"]) == [
        "late_flights",
        "--port",
        str(HEALTH_PORT),
    ]
    assert json.loads(steps["HEALTHCHECK"].partition("CMD ")[2])[-1] == HEALTH_CHECK


@pytest.mark.parametrize(
    ("state", "code"), [("running", 0), ("paused", 0), ("failed", 1)]
)
def test_the_health_check_asks_a_real_worker(state: str, code: int) -> None:
    """It passes while the worker works or waits, and fails once it has failed."""
    status = WorkerStatus("late_flights", "worker", pid=1, state=state, at_ms=0)
    with StatusServer(lambda: status) as server:
        check = HEALTH_CHECK.replace(str(HEALTH_PORT), str(server.port))
        done = subprocess.run([sys.executable, "-c", check], check=False)

    assert done.returncode == code


def test_the_health_check_fails_where_nobody_answers() -> None:
    """A worker that is gone is not healthy."""
    check = HEALTH_CHECK.replace(str(HEALTH_PORT), "1")
    done = subprocess.run(
        [sys.executable, "-c", check], check=False, stderr=subprocess.DEVNULL
    )

    assert done.returncode != 0


def test_the_workflow_installs_tests_and_verifies() -> None:
    """It runs on changes of the package only, with read rights and a time limit."""
    workflow = yaml.safe_load(MADE[deployment.WORKFLOW])
    (job,) = workflow["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]

    assert workflow[True]["pull_request"]["paths"] == ["pipelines/late_flights/**"]
    assert workflow["permissions"] == {"contents": "read"}
    assert job["timeout-minutes"] <= 15
    assert "'.[test]'" in commands[0]
    assert commands[1] == "pytest"
    assert commands[2].startswith("streamlab verify .")
    assert job["steps"][-1]["uses"].startswith("actions/upload-artifact@")
    assert all("secrets." not in str(step) for step in job["steps"])


def test_the_workflow_is_no_workflow_where_it_lies() -> None:
    """It is in the package to be copied, and says where to."""
    assert Path(deployment.WORKFLOW).parts[0] == "ci"
    assert ".github/workflows/late-flights.yml" in MADE[deployment.WORKFLOW]
