"""The pulse: when time alone makes an epoch, without an event.

A partition that has been quiet for as long as its input says no longer holds the
watermark back; and windows that are shown early are shown, though nothing more comes.
Nobody is called quiet while its broker does not answer, or while it has events that
were not read yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from streamlab.positions import Position, TopicPartition


@dataclass
class Pulse:
    """What time has done to the tasks of a worker. Called from the reading thread.

    Attributes:
        idle_after_s: Input's topic → after how many seconds without events one of its
            partitions is set aside; topics that wait for ever are left out.
        early_s: Seconds between two firings of the windows that are shown early.
        clock: Monotonic seconds; tests give their own.
    """

    idle_after_s: Mapping[str, float] = field(default_factory=dict)
    early_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    _quiet_since: dict[TopicPartition, float] = field(default_factory=dict, init=False)
    _aside: set[TopicPartition] = field(default_factory=set, init=False)
    _to_show_since: float | None = field(default=None, init=False)

    def watch(
        self,
        positions: Mapping[TopicPartition, Position],
        ends: Mapping[TopicPartition, Position],
        *,
        healthy: bool,
    ) -> None:
        """Look at the partitions of this worker.

        Args:
            positions: Up to where each was sent.
            ends: Where each ends, as last heard.
            healthy: Whether the source answers and is being read.
        """
        now = self.clock()
        for partition, position in positions.items():
            if partition.topic not in self.idle_after_s:
                continue
            at_end = partition in ends and position >= ends[partition]  # type: ignore[operator]  # positions of one source are of one type
            if healthy and at_end:
                self._quiet_since.setdefault(partition, now)
            else:
                self._quiet_since.pop(partition, None)

    def sent(self, partitions: Collection[TopicPartition]) -> None:
        """Hear that events of some partitions were sent on."""
        for partition in partitions:
            self._quiet_since.pop(partition, None)
            self._aside.discard(partition)
        if self.early_s is not None and partitions and self._to_show_since is None:
            self._to_show_since = self.clock()

    def idle(self) -> frozenset[TopicPartition]:
        """Return the partitions that are quiet long enough and not set aside yet."""
        now = self.clock()
        return frozenset(
            partition
            for partition, since in self._quiet_since.items()
            if partition not in self._aside
            and now - since >= self.idle_after_s[partition.topic]
        )

    def set_aside(self, partitions: Collection[TopicPartition]) -> None:
        """Hear that an epoch has taken note of some quiet partitions."""
        self._aside |= set(partitions)

    @property
    def shows(self) -> bool:
        """Return whether there is something that should be shown early by now."""
        since = self._to_show_since
        waited = since is not None and self.early_s is not None
        return waited and self.clock() - (since or 0.0) >= (self.early_s or 0.0)

    def shown(self) -> None:
        """Hear that an epoch without events was sent, which shows what there is."""
        self._to_show_since = None

    def restart(self) -> None:
        """Begin anew to wait: what comes in the meantime is not read."""
        self._quiet_since.clear()

    def forget(self, partitions: Collection[TopicPartition]) -> None:
        """Forget partitions that this worker no longer has."""
        for partition in partitions:
            self._quiet_since.pop(partition, None)
            self._aside.discard(partition)

    def clear(self) -> None:
        """Forget all of it."""
        self._quiet_since.clear()
        self._aside.clear()
        self._to_show_since = None
