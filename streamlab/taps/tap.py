"""A tap: a bounded read of a topic that nobody else notices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Context
from streamlab.taps.cut import Cut, Since, window
from streamlab.taps.decoding import Decoder
from streamlab.taps.gathering import sample_of
from streamlab.taps.masking import Masking
from streamlab.taps.reading import Bounds, Reading, TapProgress, TapReader
from streamlab.taps.sample import Sample

MAX_ROWS = 100_000
MAX_BYTES = 256 * 2**20
MAX_SECONDS = 30.0

_WIDEN = 4
_SLOW_S = 1.0

Report: TypeAlias = Callable[[TapProgress], None]


def tap(  # noqa: PLR0913 -- each is an option of `%tap`; classes for them would be in the way
    topic: str,
    *,
    last: int | None = None,
    since: Since | None = None,
    from_offsets: Mapping[int, int] | None = None,
    key: str | bytes | None = None,
    where: pl.Expr | None = None,
    format: str = "json",  # noqa: A002 -- the word for it everywhere
    format_options: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    personal: Sequence[str] = (),
    unmask: bool = False,
    max_rows: int | None = None,
    max_bytes: int = MAX_BYTES,
    max_seconds: float = MAX_SECONDS,
    profile: str = "",
    progress: bool | Report = True,
) -> Sample:
    """Read some events of a topic, up to its end as it is now, leaving no trace.

    The tap joins no group, commits nothing and creates nothing. It can be
    interrupted: what was read so far is returned.

    Args:
        topic: The topic.
        last: This many events, the latest of all partitions by their time, in order
            of time. The default is ``last=1000``. ``key`` and ``where`` choose among
            these.
        since: Events from this time on, or not older than ``"10m"``, ``"2h"`` …
        from_offsets: Partition number → offset to begin at; others are not read.
        key: Only events with this key; text is encoded as UTF-8.
        where: Only events for which this is true; may use metadata columns.
        format: Name of the format of the values.
        format_options: Settings of the format, by the names that its page lists.
        schema: Schema of the events; if left out, the one that the registry has, or
            inferred from the first 10,000.
        personal: Fields with personal data, such as ``address.street``, besides those
            that the schema marks. They are masked before anything is kept; ``key`` and
            ``where`` see them as they are.
        unmask: Do not mask. The sample cannot be saved or exported before it is.
        max_rows: At most this many rows; 100,000 if left out, or ``last``.
        max_bytes: At most this many bytes of values are read.
        max_seconds: Reading stops after this time, s.
        profile: Profile of the broker; empty for the default one.
        progress: Whether to show progress in a terminal, or a function to call with
            a :class:`TapProgress` four times a second.

    Returns:
        The :class:`Sample`; its ``cut`` says what stopped the tap: ``end``, ``rows``,
        ``bytes``, ``seconds`` or ``interrupted``.

    Raises:
        UnknownName: There is no such topic, profile, format, column or field.
        UsageError: The arguments do not fit each other or the topic.
        SchemaError: No schema can be inferred from what was read.
        Unavailable: The broker does not answer.
    """
    cut = Cut.of(last, since, from_offsets)
    rows = max(MAX_ROWS, cut.last or 0) if max_rows is None else max_rows
    key_bytes = key.encode() if isinstance(key, str) else key
    decoder = Decoder(
        topic,
        format,
        schema=schema,
        key=key_bytes,
        where=where,
        masking=Masking.of(personal, unmask),
        context=Context(topic, profile, format_options or {}),
    )
    bounds = Bounds(rows, max_bytes, max_seconds)
    reader = TapReader(profile, bounds, _reporter(progress))
    read = _read(reader, profile, topic, cut, decoder, rows)
    decoder.masking.tell(topic, decoder.schema)
    told = {**cut.describe(), **_filters(key, where), "stopped_by": read.stopped_by}
    return sample_of(read.parts, decoder, spans=read.spans, cut=told)


def _read(
    reader: TapReader,
    profile: str,
    topic: str,
    cut: Cut,
    decoder: Decoder,
    rows: int,
) -> Reading:
    found = window(profile, topic, cut)
    if cut.last is None:
        return reader.read_on(found, decoder)
    while (read := reader.read_last(found, decoder, min(cut.last, rows))) is None:
        # Offsets are not all messages: compaction and transactions leave gaps.
        found = found.widened(_WIDEN)
    return read


def _filters(key: str | bytes | None, where: pl.Expr | None) -> dict[str, object]:
    """Return the filters, for people; a key may be a personal value and is not told."""
    given = {"key": key is not None or None, "where": where}
    return {name: True for name, value in given.items() if value is not None}


def _reporter(progress: bool | Report) -> Report:
    if callable(progress):
        return progress
    if progress and sys.stderr.isatty():
        return _print_progress
    return lambda _: None


def _print_progress(progress: TapProgress) -> None:
    if progress.seconds < _SLOW_S:
        return
    done = f"{progress.fraction:4.0%}  {progress.rows:,} events"
    end = "\n" if progress.fraction >= 1 else ""
    sys.stderr.write(f"\rtap {done}, {progress.seconds:.0f} s{end}")
    sys.stderr.flush()
