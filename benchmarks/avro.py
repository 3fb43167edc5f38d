"""Avro in memory: ours beside bare polars and beside fastavro."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import fastavro
import polars as pl

from benchmarks.results import Result
from demo import flights
from streamlab.contracts import Schema
from streamlab.formats import Context, named, wire
from streamlab.formats.avro import schemas
from streamlab.formats.avro.types import parsed
from streamlab.formats.avro.writing import Rows
from streamlab.registry.recorded import recorded
from streamlab.registry.schemas import Registered

MESSAGES = 1_000_000
EPOCH = 50_000  # as many as a worker decodes in one call
ROUNDS = 3  # the best of them counts, of each in turn
ALONE = 50_000  # fastavro reads this many: it takes the same for each
NUMBER = 1


@dataclass(frozen=True)
class AvroBench:
    """Flights of 19 nullable columns in Confluent's wire format.

    Attributes:
        messages: How many.
    """

    messages: int = MESSAGES

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Return the flights."""
        return flights.repeated(flights.flights(), self.messages)

    @cached_property
    def text(self) -> str:
        """Return their schema."""
        return schemas.written(self.frame.schema, "Flight")

    @cached_property
    def values(self) -> Sequence[bytes]:
        """Return the messages, about 85 bytes each."""
        parsed, head = fastavro.parse_schema(json.loads(self.text)), wire.header(NUMBER)
        values = []
        for row in self.frame.iter_rows(named=True):
            body = io.BytesIO()
            body.write(head)
            fastavro.schemaless_writer(body, parsed, row)
            values.append(body.getvalue())
        return values

    def decode(self) -> Result:
        """Measure the format; the limit is bare polars on a container made before."""
        with recorded({NUMBER: Registered(NUMBER, "AVRO", self.text)}):
            format_ = named("avro", Context("flights"))
        schema = Schema.of(self.frame.schema)
        epochs = [
            self.values[start : start + EPOCH]
            for start in range(0, self.messages, EPOCH)
        ]
        containers = [self._container(epoch) for epoch in epochs]
        ours, bare = _in_turn(
            lambda: [format_.decode(epoch, schema) for epoch in epochs],
            lambda: [pl.read_avro(io.BytesIO(each)) for each in containers],
        )
        decoded = [format_.decode(epoch, schema) for epoch in epochs]
        assert all(not each.rejected for each in decoded)
        assert pl.concat([each.frame for each in decoded]).equals(self.frame)
        return _result("avro-decode", self.messages / ours, self.messages / bare)

    def fastavro(self) -> Result:
        """Measure fastavro, value by value; the limit is the same."""
        parsed = fastavro.parse_schema(json.loads(self.text))
        values = self.values[:ALONE]
        container = self._container(values)

        def alone() -> list[object]:
            read = fastavro.schemaless_reader
            return [read(io.BytesIO(one[5:]), parsed, None) for one in values]

        each, bare = _in_turn(alone, lambda: pl.read_avro(io.BytesIO(container)))
        return _result("avro-fastavro", len(values) / each, len(values) / bare)

    def encode(self) -> Result:
        """Measure writing; the limit that it is above is fastavro, row by row."""
        kind = parsed(self.text)
        frame = self.frame.head(ALONE)
        rows, written = Rows(NUMBER, kind, frame.schema), frame.rows(named=True)
        schema, head = fastavro.parse_schema(json.loads(self.text)), wire.header(NUMBER)

        def alone() -> list[bytes]:
            values = []
            for row in written:
                body = io.BytesIO(head)
                body.seek(len(head))
                fastavro.schemaless_writer(body, schema, row)
                values.append(body.getvalue())
            return values

        assert rows(frame) == alone()
        ours, theirs = _in_turn(lambda: rows(frame), alone)
        return _result("avro-encode", ALONE / ours, ALONE / theirs)

    def _container(self, values: Sequence[bytes]) -> bytes:
        """Return the bodies as one block of an object container file."""
        bodies = b"".join(value[wire.HEADER_BYTES :] for value in values)
        head = io.BytesIO()
        fastavro.writer(head, json.loads(self.text), [])
        start = head.getvalue()
        count = io.BytesIO()
        for number in (len(values), len(bodies)):
            fastavro.schemaless_writer(count, "long", number)
        return start + count.getvalue() + bodies + start[-16:]


def _in_turn(*works: Callable[[], object]) -> list[float]:
    """Return the shortest time of each work, in seconds; they take turns."""
    times = [float("inf")] * len(works)
    for _ in range(ROUNDS):
        for place, work in enumerate(works):
            began = time.perf_counter()
            work()
            times[place] = min(times[place], time.perf_counter() - began)
    return times


def _result(case: str, messages_per_s: float, limit: float) -> Result:
    return Result(
        case=case,
        messages_per_s=messages_per_s,
        limit_messages_per_s=limit,
        ratio=messages_per_s / limit,
    )
