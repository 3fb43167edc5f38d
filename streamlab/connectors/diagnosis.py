"""What a doctor found: the steps of a connection, each tested by itself.

The same for every system, so that a command, a notebook and a program show and judge
them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from streamlab.errors import ConnectorError, StreamlabError

State: TypeAlias = Literal["ok", "warn", "failed", "skipped"]

MARKS: Mapping[State, str] = {"ok": "✓", "warn": "!", "failed": "✗", "skipped": "–"}


class Finding(NamedTuple):
    """What one test found.

    Attributes:
        what: What is so, in one sentence.
        hint: What to do about it.
        state: ``warn`` where it works and should not stay so.
    """

    what: str
    hint: str = ""
    state: State = "ok"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a connection.

    Attributes:
        name: What was tested.
        state: ``ok``, ``warn`` (works, and should not stay so), ``failed`` or
            ``skipped`` (an earlier step failed, or it cannot be tested).
        what: What is so, in one sentence, without a secret.
        hint: What to do about it; empty where there is nothing to do.
        seconds: How long the test took, s.
        vital: Whether there is no connection without it.
    """

    name: str
    state: State
    what: str
    hint: str = ""
    seconds: float = 0.0
    vital: bool = True


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All steps of one connection, in their order.

    Attributes:
        system: The system, such as ``kafka``.
        profile: Name of the profile.
        steps: The steps.
        facts: What the other side told about itself; empty where it was not reached.
    """

    system: str
    profile: str
    steps: tuple[Step, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether no step failed."""
        return self.failed is None

    @property
    def connected(self) -> bool:
        """Return whether there is a connection, whatever may be done with it."""
        return not any(s.vital and s.state == "failed" for s in self.steps)

    @property
    def failed(self) -> Step | None:
        """Return the first step that failed."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def raise_failed(self) -> None:
        """Raise what the first failed step says.

        Raises:
            ConnectorError: A step failed.
        """
        if self.failed is not None:
            message = f"{self.system}: {self.failed.name}: {self.failed.what}"
            raise ConnectorError(message, hint=self.failed.hint)

    def __str__(self) -> str:
        """Return a line for each step, with what to do below it."""
        width = max((len(step.name) for step in self.steps), default=0)
        lines = [f"{self.system} of profile {self.profile!r}"]
        for step in self.steps:
            lines.append(f"{MARKS[step.state]} {step.name:<{width}}  {step.what}")
            if step.hint:
                lines.append(f"  {'':<{width}}  Hint: {step.hint}")
        lines += [f"{name}: {value}" for name, value in self.facts.items()]
        return "\n".join(lines)


class Examination:
    """Takes one step after another; what needs a failed one is skipped."""

    def __init__(self) -> None:
        """Begin without a step."""
        self.steps: list[Step] = []
        self.stopped_by = ""

    def take(
        self, name: str, test: Callable[[], Finding], *, vital: bool = True
    ) -> None:
        """Take a step and note what it finds.

        Args:
            name: What is tested.
            test: Tests it; a :class:`StreamlabError` is a failure.
            vital: Whether a failure makes the steps behind it pointless.
        """
        if self.stopped_by:
            what = f"not tested, because {self.stopped_by} failed"
            self.steps.append(Step(name, "skipped", what, vital=vital))
            return
        started = time.monotonic()
        try:
            found = test()
        except StreamlabError as error:
            found = Finding(error.message, error.hint, "failed")
            self.stopped_by = name if vital else ""
        seconds = time.monotonic() - started
        self.steps.append(Step(name, found.state, *found[:2], seconds, vital))
