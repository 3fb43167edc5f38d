"""Writing messages while no broker answers: nothing counts as written that is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl
import pytest

from streamlab.connectors.kafka import producing
from streamlab.connectors.kafka.producing import (
    OPTIONS,
    Encoding,
    MessageWriter,
    Outbox,
)
from streamlab.errors import Unavailable
from streamlab.formats import named
from streamlab.sinks import SinkBatch

NOBODY = "127.0.0.1:1"
MOST_BYTES = 1_000_000
EPOCH = SinkBatch(pl.DataFrame({"n": range(10)}), (), ())

Made = Callable[..., MessageWriter]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setattr(producing, "FLUSH_S", 0.5)
    writers: list[MessageWriter] = []

    def make(**options: object) -> MessageWriter:
        given = {name.replace("_", "."): value for name, value in options.items()}
        outbox = Outbox({**OPTIONS, "bootstrap.servers": NOBODY, **given}, "rows")
        writers.append(MessageWriter(outbox, Encoding(named("json"), ""), MOST_BYTES))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()


def test_messages_that_were_given_up_are_sent_again(made: Made) -> None:
    """A retry is no success because the client has thrown the messages away."""
    writer = made(message_timeout_ms=100, linger_ms=0)
    for _ in range(3):
        with pytest.raises(Unavailable):
            writer.write(EPOCH)


def test_rows_that_found_no_room_are_not_forgotten(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is back after the queue was full has only a part of the epoch."""
    writer = made(queue_buffering_max_messages=4)
    monkeypatch.setattr(Outbox, "flush", lambda *_: None)
    with pytest.raises(Unavailable, match="full"):
        writer.write(EPOCH)
