"""Each conformance check of sinks finds the sink that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl
import pytest

from streamlab.connectors.memory.sink import MemoryWriter
from streamlab.errors import Refused, RowsRefused, StreamlabError
from streamlab.positions import Progress
from streamlab.sinks import SinkBatch, SinkContext
from streamlab.testing import SINK_CHECKS, MemorySink, SinkCase, check_sink
from tests.unit.connectors.test_sink_conformance import read_memory

REFUSED = "a value nobody may see"


@dataclass(frozen=True)
class BrokenSink(MemorySink):
    """A memory sink whose writer is broken in one way."""

    writer: type[MemoryWriter] = MemoryWriter
    description: str = "memory (atomic)"

    def open(self, context: SinkContext) -> MemoryWriter:
        """Return the broken writer."""
        return self.writer(self, context)

    def describe(self) -> str:
        """Return the description under test."""
        return self.description


class ClosesOnce(MemoryWriter):
    def close(self) -> None:
        if self._closed:
            raise Refused("closed already")
        super().close()


class WritesAfterClose(MemoryWriter):
    def close(self) -> None:
        pass


class LosesEmptyTexts(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        text = pl.col("text").replace("", None)
        return super().write(replace(batch, frame=batch.frame.with_columns(text)))


class TurnsRowsAround(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        return super().write(replace(batch, frame=batch.frame.reverse()))


class SkipsEmptyEpochs(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        return super().write(batch) if batch.frame.height else 0


class TakesHalfOfOtherColumns(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        if batch.frame.schema != self._schema:
            self._schema = batch.frame.schema
            batch = replace(batch, frame=batch.frame.head(1))
        return super().write(batch)


class ForgetsTheFirstClaim(MemoryWriter):
    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress] | None:
        self._target.progress.clear()
        return super().claim(initial)


class TrustsTheWorkerForNewTasks(MemoryWriter):
    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress] | None:
        stored = self._target.of(self._context.pipeline)
        self._store([each for each in initial if each.task not in stored])
        return super().claim(initial)


class ForgetsTheState(MemoryWriter):
    def _store(self, progress: Sequence[Progress]) -> None:
        super()._store([replace(each, state_id=None) for each in progress])


class MixesPipelines(MemoryWriter):
    def __init__(self, sink: MemorySink, context: SinkContext) -> None:
        super().__init__(sink, replace(context, pipeline="one for all"))


class NeverFences(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        stored = self._target.of(self._context.pipeline)
        before = [stored.get(each.task, each) for each in batch.before]
        for each in before:
            stored.setdefault(each.task, each)
            self._target.progress.setdefault((self._context.pipeline, each.task), each)
        return super().write(replace(batch, before=before))


class ComparesOnlyTheFirstTask(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        return super().write(replace(batch, before=batch.before[:1]))


class WritesBeforeItRefuses(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        try:
            return super().write(batch)
        except RowsRefused:
            self._target.batches.append(batch)
            raise


class ShowsTheValue(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        try:
            return super().write(batch)
        except RowsRefused as error:
            raise RowsRefused(dict.fromkeys(error.reasons, REFUSED)) from None


class BlamesTheWholeEpoch(MemoryWriter):
    def write(self, batch: SinkBatch) -> int:
        try:
            return super().write(batch)
        except RowsRefused:
            raise Refused("some row is bad") from None


BROKEN = [
    ("closes_twice", ClosesOnce),
    ("refuses_calls_after_close", WritesAfterClose),
    ("keeps_values_and_types", LosesEmptyTexts),
    ("keeps_order_within_a_partition", TurnsRowsAround),
    ("moves_on_with_an_empty_epoch", SkipsEmptyEpochs),
    ("takes_other_columns_whole_or_not_at_all", TakesHalfOfOtherColumns),
    ("claims_where_the_worker_says", ForgetsTheFirstClaim),
    ("begins_new_partitions_at_zero", TrustsTheWorkerForNewTasks),
    ("resumes_after_reopening", ForgetsTheState),
    ("keeps_pipelines_apart", MixesPipelines),
    ("fences_a_stale_worker", NeverFences),
    ("compares_the_whole_place", ComparesOnlyTheFirstTask),
    ("leaves_nothing_of_a_refused_epoch", WritesBeforeItRefuses),
    ("leaves_nothing_of_a_refused_epoch", ShowsTheValue),
    ("leaves_nothing_of_a_refused_epoch", BlamesTheWholeEpoch),
]
CHECKS = {check.__name__: check for check in SINK_CHECKS}


def case(writer: type[MemoryWriter] = MemoryWriter, **settings: str) -> SinkCase:
    """Return a case for a broken sink."""
    refuse = pl.col("text") == REFUSED

    def make() -> BrokenSink:
        return BrokenSink(writer=writer, refuse=refuse, **settings)

    return SinkCase(make, read_memory, REFUSED)


@pytest.mark.parametrize(("name", "writer"), BROKEN)
def test_check_finds_the_broken_sink(name: str, writer: type[MemoryWriter]) -> None:
    """The check fails on a sink that is broken in just its way."""
    with pytest.raises((AssertionError, StreamlabError)):
        CHECKS[name](case(writer))


def test_check_finds_a_description_without_the_guarantee() -> None:
    """A sink must say what it promises."""
    with pytest.raises(AssertionError, match="guarantee"):
        CHECKS["describes_itself"](case(description="memory"))


def test_check_finds_a_sink_that_hides_its_progress() -> None:
    """A sink that keeps progress must show it, or a reset would not see it."""

    class HidesItsProgress(MemorySink):
        def stored(self, pipeline: str) -> None:
            del pipeline

    with pytest.raises(AssertionError, match="shown is None"):
        CHECKS["shows_its_progress_unasked"](SinkCase(HidesItsProgress, read_memory))


def test_every_check_has_a_broken_sink() -> None:
    """No check is left that could not fail."""
    apart = {"describes_itself", "shows_its_progress_unasked"}
    assert {name for name, _ in BROKEN} | apart == set(CHECKS)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_check_passes_on_the_sink_that_is_not_broken(
    check: Callable[[SinkCase], None],
) -> None:
    """What makes the checks fail is the breakage, not the harness of this test."""
    check(case())


def test_check_sink_names_the_check_that_failed() -> None:
    """A third party sees which check its sink fails."""
    broken = case(TurnsRowsAround)
    with pytest.raises(AssertionError, match=r"^keeps_order_within_a_partition: "):
        check_sink(broken.make, broken.read, refused_text=REFUSED)
