"""What one shell's notebook knows: its profile, what it evaluated, what it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from streamlab.errors import UnknownName
from streamlab.notebook.broker_names import BrokerNames
from streamlab.taps.sample import Sample
from streamlab.transforms.evaluation import Evaluation
from streamlab.transforms.transform import Transform


class Running(Protocol):
    """Something live that ``%stop`` can end."""

    @property
    def name(self) -> str:
        """What ``%stop`` calls it."""

    @property
    def kind(self) -> str:
        """What it is, in a word."""

    @property
    def running(self) -> bool:
        """Whether it still does something."""

    def describe(self) -> str:
        """Return one line about it."""

    def stop(self) -> None:
        """End it; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class _Entry:
    thing: Running
    cell: str | None
    started_s: float


@dataclass(eq=False)
class Session:
    """The state behind the magics of one shell. It knows nothing of Jupyter.

    Attributes:
        namespace: The user's variables.
        live: Whether a front end listens that can paint live views.
        profile: What ``%connect`` chose; empty for the default profile.
        cell: Identity of the cell that runs now, where the front end tells it.
        evaluations: Transform → its last evaluation, which displays show again.
        chosen: Transform → the sample that ``%%transform --on`` named for it.
        broker: Names of topics and groups, for completion.
    """

    namespace: dict[str, Any]
    live: Callable[[], bool] = field(default=lambda: False)
    profile: str = ""
    cell: str | None = None
    evaluations: WeakKeyDictionary[Transform[Any, Any], Evaluation] = field(
        default_factory=WeakKeyDictionary
    )
    chosen: WeakKeyDictionary[Transform[Any, Any], str] = field(
        default_factory=WeakKeyDictionary
    )
    broker: BrokerNames = field(default_factory=BrokerNames)
    _entries: dict[str, _Entry] = field(default_factory=dict)

    def samples(self) -> dict[str, Sample]:
        """Return the samples among the user's variables, by name."""
        return dict(self._of_type(Sample))

    def transforms(self) -> dict[str, Transform[Any, Any]]:
        """Return the transforms among the user's variables, by name."""
        return dict(self._of_type(Transform))

    def sample(self, name: str) -> Sample:
        """Return a sample by the name of its variable.

        Raises:
            UnknownName: There is none.
        """
        known = self.samples()
        if name not in known:
            raise UnknownName("sample", name, known, hint=f"%tap TOPIC --as {name}")
        return known[name]

    def transform(self, name: str) -> Transform[Any, Any]:
        """Return a transform by the name of its variable.

        Raises:
            UnknownName: There is none.
        """
        known = self.transforms()
        if name not in known:
            hint = f"define it: @sl.transform above def {name}(…)"
            raise UnknownName("transform", name, known, hint=hint)
        return known[name]

    def sample_for(self, transform: Transform[Any, Any]) -> Sample:
        """Return the sample a transform is for: chosen for it, or named alike.

        Raises:
            UnknownName: There is no sample named like the transform's parameter.
        """
        return self.sample(self.chosen.get(transform) or transform.streams[0])

    def running(self) -> dict[str, Running]:
        """Return what runs, by name, oldest first; what has ended is forgotten.

        What failed is no such thing: it stays, so that it can say why, until it is
        stopped or something of the same name is started.
        """
        for name, entry in tuple(self._entries.items()):
            if not (entry.thing.running or getattr(entry.thing, "failed", False)):
                del self._entries[name]
        return {name: entry.thing for name, entry in self._entries.items()}

    def seconds(self, name: str) -> float:
        """Return for how long something has been running."""
        return time.monotonic() - self._entries[name].started_s

    def add(self, thing: Running) -> None:
        """Keep something that runs; one of the same name is ended first."""
        if thing.name in self._entries:
            self._entries.pop(thing.name).thing.stop()
        self._entries[thing.name] = _Entry(thing, self.cell, time.monotonic())

    def stop(self, name: str) -> None:
        """End something by name.

        Raises:
            UnknownName: Nothing of that name runs here.
        """
        known = self.running()
        if name not in known:
            raise UnknownName("running thing", name, known, hint="%stop lists them")
        self._entries.pop(name).thing.stop()

    def cell_begins(self, cell: str | None) -> None:
        """Note which cell runs now; views that its last run left are ended."""
        self.cell = cell
        if cell is None:
            return
        for name, entry in tuple(self._entries.items()):
            if entry.cell == cell and entry.thing.kind != "worker":
                del self._entries[name]
                entry.thing.stop()

    def close(self) -> None:
        """End what must not outlive the kernel."""
        while self._entries:
            thing = self._entries.popitem()[1].thing
            if not getattr(thing, "detached", False):
                thing.stop()

    def _of_type(self, kind: type[Any]) -> Iterator[tuple[str, Any]]:
        # A copy: a thread of the completer may look while a cell binds a name.
        for name, value in tuple(self.namespace.items()):
            if isinstance(value, kind) and not name.startswith("_"):
                yield name, value
