"""Stateful processing: an epoch through the operators of a pipeline, task by task.

All calls come from the computing thread, but ``without_refused``. The order of an
epoch is the promise: its events are observed, what is late is set aside, the others
are taken in, then the event time advances, and what is due comes out. The state is
saved under a new name before the sink hears of the epoch; it becomes the current one
by the sink's commit of that name, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from streamlab.engines.local import row_letters
from streamlab.engines.local.arriving import Arrived
from streamlab.engines.local.epoch import Clock, Epoch
from streamlab.engines.local.open_task import OpenTask, Standing
from streamlab.engines.local.processing import Decoded, Processed, decode, failing
from streamlab.engines.local.retrying import Retrying
from streamlab.engines.local.state_home import State
from streamlab.engines.local.streams import Streams
from streamlab.errors import RowsRefused, TransformError
from streamlab.operators.chain import Chain
from streamlab.positions import Progress, TopicPartition
from streamlab.sinks import DeadLetter
from streamlab.sources import METADATA, RawBatch

Opener = Callable[[str, str | None], State]


@dataclass
class _Letters:
    """What an epoch sets aside."""

    dead: list[DeadLetter] = field(default_factory=list)
    late: list[DeadLetter] = field(default_factory=list)
    rows: list[DeadLetter] = field(default_factory=list)


class StatefulProcessor:
    """Decodes and transforms epochs of a pipeline that keeps state.

    Args:
        streams: Its inputs.
        chain: Its transforms.
        open_state: Opens the state of a task: name, state id.
        retrying: Waits where the state cannot be written now.
    """

    def __init__(
        self,
        streams: Streams,
        chain: Chain,
        open_state: Opener,
        retrying: Retrying,
    ) -> None:
        self._streams = streams
        self._chain = chain
        self._open_state = open_state
        self._retrying = retrying
        self._nothing = {name: self._empty(name) for name in chain.entrance}
        self._metadata = {name: self._metadata_of(name) for name in chain.entrance}
        self.tasks: dict[str, OpenTask] = {}
        self.standing: dict[str, Standing] = {}

    # Tasks that come and go.

    def open(self, progress: Sequence[Progress]) -> list[str]:
        """Open the state of some tasks as their progress names it.

        Returns:
            Those whose input has ended.

        Raises:
            StreamlabError: A state is not there, or not whole.
        """
        self.shut([one.task for one in progress])
        for one in progress:
            state = self._open_state(one.task, one.state_id)
            bounds_us = self._streams.bounds_us(one.positions)
            task = OpenTask.of(one, state, bounds_us)
            self.tasks[one.task], self.standing[one.task] = task, task.standing()
        return [one.task for one in progress if self.tasks[one.task].watermarks.ended]

    def shut(self, tasks: Collection[str]) -> None:
        """Close the state of some tasks, as far as they are open."""
        for name in tasks:
            task = self.tasks.pop(name, None)
            self.standing.pop(name, None)
            if task is not None:
                task.state.close()

    def confirm(self, after: Sequence[Progress]) -> None:
        """Hear that a sink has committed an epoch: its states are current."""
        for one in after:
            task = self.tasks.get(one.task)
            if task is not None and one.state_id is not None:
                task.state.confirm(one.state_id)

    def close(self) -> None:
        """Close all states."""
        self.shut(list(self.tasks))

    # An epoch.

    def decode(self, raws: Mapping[str, RawBatch]) -> tuple[Decoded, ...]:
        """Decode the events of each input."""
        decoded = []
        for name, raw in raws.items():
            stream = self._streams.by_name[name]
            metadata = self._metadata[name]
            key = self._chain.tables.get(name, ())
            made = decode(stream.format, stream.schema, metadata, name, raw, key)
            self._streams.check_keys(made)
            decoded.append(made)
        return tuple(decoded)

    def transform(
        self, epoch: Epoch, decoded: tuple[Decoded, ...]
    ) -> tuple[Epoch, Processed]:
        """Take an epoch in, task by task, and give what it completes.

        Raises:
            TransformError: A function is at fault whatever the rows.
        """
        letters = _Letters([letter for one in decoded for letter in one.dead_letters])
        arrived = []
        for one in decoded:
            known = Arrived.of(one, self._streams.by_name[one.name].on)
            if self._streams.by_name[one.name].on is not None:
                known, dead = known.timed()
                letters.dead += dead
            arrived.append(known)
        outputs = [self._chain.output_schema.to_frame()]
        before, after = [], []
        for begun, ended in zip(epoch.before, epoch.after, strict=True):
            task = self.tasks[begun.task]
            before.append(replace(begun, state_id=task.state_id))
            here = [one.among(ended.positions) for one in arrived]
            outputs.append(self._step(task, here, epoch.clock, ended, letters))
            state_id = self._retrying(task.save)
            watermarks = task.reached()
            after.append(replace(ended, state_id=state_id, watermarks=watermarks))
            self.standing[task.name] = task.standing()
        processed = Processed(
            decoded,
            pl.concat(outputs),
            tuple(letters.dead),
            tuple(letters.late),
            tuple(letters.rows),
        )
        return replace(epoch, before=tuple(before), after=tuple(after)), processed

    def without_refused(
        self, processed: Processed, refused: RowsRefused, after: Sequence[Progress]
    ) -> Processed:
        """Return an epoch without the rows that the sink refuses.

        The rows themselves are set aside: no single event makes them, and the state
        has them behind it.
        """
        gone = row_letters.refused(
            processed.output, refused.reasons, after[0], len(processed.rows)
        )
        kept = sorted(set(range(processed.output.height)) - set(refused.reasons))
        return replace(
            processed,
            output=processed.output[kept],
            rows=(*processed.rows, *gone),
        )

    def _step(
        self,
        task: OpenTask,
        arrived: Sequence[Arrived],
        clock: Clock,
        after: Progress,
        letters: _Letters,
    ) -> pl.DataFrame:
        frames, seen = dict(self._nothing), set[TopicPartition]()
        for one in arrived:
            seen |= set(one.partitions) & set(after.positions)
            frames[one.decoded.name] = self._entered(task, one, letters)
        moment = task.moment(clock, seen)
        passed = self._chain.step(frames, moment, task.state.tables)
        task.count(passed.counts)
        letters.rows += row_letters.of_groups(passed.failed, after)
        letters.rows += row_letters.of_sides(passed.sides, after, len(letters.rows))
        return passed.output

    def _entered(
        self, task: OpenTask, arrived: Arrived, letters: _Letters
    ) -> pl.DataFrame:
        """Return the rows of a stream at the first operator."""
        name = arrived.decoded.name
        floors: pl.Series | None = None
        if self._streams.by_name[name].is_watched:
            arrived, floors, late = arrived.observed(self._chain, task.watermarks)
            letters.late += late
        try:
            return self._chain.enter(name, arrived.events, floors)
        except TransformError as error:
            apply = self._chain.entrance[name].apply
            reasons = failing(apply, arrived.events, error)
        letters.dead += arrived.failed(reasons)
        kept = pl.Series([row not in reasons for row in range(arrived.events.height)])
        floors = None if floors is None else floors.filter(kept)
        return self._chain.enter(name, arrived.events.filter(kept), floors)

    def _metadata_of(self, name: str) -> list[str]:
        """Return the metadata columns of an input, its event time among them."""
        on = self._streams.by_name[name].on
        named = {*self._chain.entrance[name].metadata, *([on.column] if on else [])}
        own = self._streams.by_name[name].schema.dtypes
        return [one for one in METADATA if one in named and one not in own]

    def _empty(self, name: str) -> pl.DataFrame:
        events = self._chain.entrance[name].input_schema.to_frame()
        floors = None
        if self._streams.by_name[name].is_watched:
            times = pl.Series([], dtype=pl.Int64)
            floors = self._chain.floors(name, times, times)
        return self._chain.enter(name, events, floors)
