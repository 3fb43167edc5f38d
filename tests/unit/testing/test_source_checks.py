"""Each conformance check of sources finds the source that breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from streamlab.connectors.memory.source import MemoryReader
from streamlab.errors import StreamlabError
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import ListedOrigins, Listener, RawBatch
from streamlab.testing import (
    SOURCE_CHECKS,
    MemorySource,
    MemoryTopic,
    SourceCase,
    check_source,
    source_checks,
)


@dataclass(frozen=True)
class BrokenSource(MemorySource):
    """A memory source whose reader is broken in one way."""

    reader: type[MemoryReader] = MemoryReader

    def open(self, pipeline: str, listener: Listener) -> MemoryReader:
        """Return the broken reader."""
        del pipeline
        return self.reader(self, listener)


class ClosesOnce(MemoryReader):
    def close(self) -> None:
        self._require_open()
        super().close()


class TurnsValuesAround(MemoryReader):
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        batch = super().poll(max_rows, timeout_s)
        return batch and replace(batch, values=batch.values[::-1])


class StartsSpansAtTheFirstEventPlusOne(MemoryReader):
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        batch = super().poll(max_rows, timeout_s)
        return batch and replace(
            batch, spans=tuple(replace(s, start=s.start + 1) for s in batch.spans)
        )


class IgnoresTheLimit(MemoryReader):
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        return super().poll(max_rows * 100, timeout_s)


class AlwaysWaits(MemoryReader):
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        batch = super().poll(max_rows, timeout_s)
        if batch is None and self._positions:
            time.sleep(1.1)
        return batch


class StartsAtTheStart(MemoryReader):
    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        super()._assign(partitions)
        self._positions = dict.fromkeys(self._positions, 0)


class ForgetsWhatWasAcknowledged(MemoryReader):
    def acknowledge(self, progress: Sequence[Progress]) -> None:
        pass


class ForgetsTheEpoch(MemoryReader):
    def acknowledge(self, progress: Sequence[Progress]) -> None:
        super().acknowledge([replace(each, epoch=0) for each in progress])


class CannotHold(MemoryReader):
    def hold(self, *, held: bool) -> None:
        pass


class KnowsNoEnds(MemoryReader):
    def ends(self) -> Mapping[TopicPartition, Position]:
        return {}


class MiscountsBytes(MemoryReader):
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        batch = super().poll(max_rows, timeout_s)
        return batch and replace(batch, size_bytes=0)


class RepeatsPositions(MemoryReader):
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        batch = super().poll(max_rows, timeout_s)
        return batch and replace(
            batch,
            origins=ListedOrigins(batch.origins.partitions(), [0] * len(batch)),
        )


BROKEN = [
    ("closes_twice", ClosesOnce),
    ("delivers_every_event_in_order", TurnsValuesAround),
    ("delivers_every_event_in_order", MiscountsBytes),
    ("delivers_every_event_in_order", RepeatsPositions),
    ("covers_the_log_with_spans", StartsSpansAtTheFirstEventPlusOne),
    ("covers_the_log_with_spans", RepeatsPositions),
    ("gives_no_more_than_asked", IgnoresTheLimit),
    ("returns_at_once_when_asked", AlwaysWaits),
    ("starts_where_it_is_told", StartsAtTheStart),
    ("remembers_what_was_acknowledged", ForgetsWhatWasAcknowledged),
    ("remembers_what_was_acknowledged", ForgetsTheEpoch),
    ("delivers_nothing_while_held", CannotHold),
    ("knows_where_partitions_end", KnowsNoEnds),
]
CHECKS = {check.__name__: check for check in SOURCE_CHECKS}


def case(reader: type[MemoryReader] = MemoryReader) -> SourceCase:
    """Return a case for a broken source."""
    return SourceCase(lambda events: BrokenSource(MemoryTopic(events), reader=reader))


@pytest.mark.parametrize(("name", "reader"), BROKEN)
def test_check_finds_the_broken_source(
    name: str, reader: type[MemoryReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check fails on a source that is broken in just its way."""
    monkeypatch.setattr(source_checks, "PATIENCE_S", 0.5)
    with pytest.raises((AssertionError, StreamlabError)):
        CHECKS[name](case(reader))


def test_every_check_has_a_broken_source() -> None:
    """No check is left that could not fail."""
    assert {name for name, _ in BROKEN} == set(CHECKS)


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_memory_source_conforms(check: Callable[[SourceCase], None]) -> None:
    """The memory source passes each check."""
    check(case())


def test_check_source_names_the_check_that_failed() -> None:
    """A third party sees which check its source fails."""
    with pytest.raises(AssertionError, match=r"^gives_no_more_than_asked: "):
        check_source(case(IgnoresTheLimit).make)
