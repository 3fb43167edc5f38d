"""The Parquet sink: one file for each epoch."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from streamlab.connectors.parquet.commits import (
    Commit,
    CommitLog,
    exclusive,
    sync_folder,
    synced,
)
from streamlab.errors import Refused, SchemaError, Unavailable, UsageError
from streamlab.positions import Position, Progress
from streamlab.sinks import (
    Guarantee,
    Sink,
    SinkBatch,
    SinkContext,
    Writer,
    first_claims,
    require_same_place,
)

OWN_FOLDER = "_streamlab"  # readers such as Spark and Hive skip names with "_"
LOG_NAME = "commits.log"
LONGEST_NAME = 180  # bytes; file systems allow 255
_PASSING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.ESTALE}
)


@dataclass(frozen=True)
class ParquetSink(Sink):
    """Rows into Parquet files of a folder on a local file system.

    Attributes:
        folder: Where the files go; created if it is not there.
    """

    folder: Path

    def __post_init__(self) -> None:
        """Take a text for a path."""
        object.__setattr__(self, "folder", Path(self.folder))

    @property
    def guarantee(self) -> Guarantee:
        """Rows and position become real by the same line of the log."""
        return Guarantee.ATOMIC

    @property
    def takes_changes(self) -> bool:
        """Files have rows added only."""
        return False

    def open(self, context: SinkContext) -> ParquetWriter:
        """Create the folder, or check that the rows fit what is there."""
        return ParquetWriter(self, context)

    def stored(self, pipeline: str) -> Sequence[Progress]:
        """Return the progress of a pipeline from the log of commits."""
        log = CommitLog(self.folder / OWN_FOLDER / LOG_NAME)
        with _translated(f"reading the progress in {self.folder}"):
            log.refresh()
        return list(log.of(pipeline).values())

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"parquet files in {self.folder} ({self.guarantee.value})"


def scan(folder: Path | str) -> pl.LazyFrame:
    """Return the committed rows of a sink's folder, in the order of their epochs.

    Raises:
        UsageError: No parquet sink has committed rows there.
    """
    folder = Path(folder)
    log = CommitLog(folder / OWN_FOLDER / LOG_NAME)
    log.refresh()
    if not log.files:
        message = f"no parquet sink has written rows to {folder}"
        raise UsageError(message)
    return pl.scan_parquet([_place(folder, name) for name in log.files])


class ParquetWriter(Writer):
    """An open Parquet sink."""

    def __init__(self, sink: ParquetSink, context: SinkContext) -> None:
        """Make the folders, and check the rows against the last file."""
        self._folder = sink.folder
        self._own = sink.folder / OWN_FOLDER
        self._context = context
        self._schema = pl.Schema(context.schema)
        self._log = CommitLog(self._own / LOG_NAME)
        self._closed = False
        with _translated(f"preparing {self._folder}"):
            (self._own / "staged").mkdir(parents=True, exist_ok=True)
            self._log.refresh()
            self._check_schema()

    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress]:
        """Put in order what a crash has left, and return what is stored."""
        with self._at_work("reading the progress"):
            self._recover()
            stored = self._log.of(self._context.pipeline)
            new = first_claims(initial, stored)
            if new:
                self._log.append(Commit(self._context.pipeline, new))
            stored = self._log.of(self._context.pipeline)
        return [stored[progress.task] for progress in initial]

    def write(self, batch: SinkBatch) -> int:
        """Stage the rows, commit them with the progress, and show them."""
        if batch.frame.schema != self._schema:
            message = "the frame does not have the columns the sink was opened for"
            raise Refused(message)
        with self._at_work("writing an epoch"):
            stored = self._log.of(self._context.pipeline)
            require_same_place(batch.before, stored)
            name = self._stage(batch) if batch.frame.height else None
            self._log.append(
                Commit(self._context.pipeline, batch.after, name, batch.frame.height)
            )
            if name is not None:
                self._show(name)
        return batch.frame.height

    def close(self) -> None:
        """Refuse further calls; a second call does nothing."""
        self._closed = True

    @contextlib.contextmanager
    def _at_work(self, doing: str) -> Iterator[None]:
        """Hold the folder, with the log read to its end."""
        if self._closed:
            message = "the writer is closed"
            raise UsageError(message)
        with (
            _translated(f"{doing} in {self._folder}"),
            exclusive(self._own / "lock"),
        ):
            self._log.refresh()
            yield

    def _check_schema(self) -> None:
        if not self._log.files:
            return
        last = _place(self._folder, self._log.files[-1])
        found = pl.Schema(pl.read_parquet_schema(last))
        if found != self._schema:
            different = sorted(
                name
                for name in {*found, *self._schema}
                if found.get(name) != self._schema.get(name)
            )
            listed = ", ".join(
                f"{name!r} ({found.get(name, 'none')} there, "
                f"{self._schema.get(name, 'none')} now)"
                for name in different
            )
            message = f"the files in {self._folder} have other columns: {listed}"
            if not different:
                message = f"the files in {self._folder} have the columns in other order"
            raise SchemaError(message, hint="write to a new folder")

    def _stage(self, batch: SinkBatch) -> str:
        name = f"{file_stem(batch)}.parquet"
        if (self._folder / name).exists():
            message = f"{self._folder / name} exists already, and is not replaced"
            raise Refused(
                message, hint="another pipeline writes there: use a folder for each"
            )
        with (self._own / "staged" / name).open("wb") as file:
            batch.frame.write_parquet(file)
            synced(file)
        sync_folder(self._own / "staged")
        return name

    def _show(self, name: str) -> None:
        (self._own / "staged" / name).rename(self._folder / name)
        sync_folder(self._folder)

    def _recover(self) -> None:
        """Show what was committed, and drop what was not."""
        committed = set(self._log.files)
        for path in (self._own / "staged").iterdir():
            if path.name in committed:
                self._show(path.name)
            else:
                path.unlink()


def file_stem(batch: SinkBatch) -> str:
    """Return the name of an epoch's file: what it covers, and the epoch's number.

    Tasks that did not move are left out. A name that would be too long is cut, and
    ends in a hash of the whole.
    """
    parts = [
        f"{_safe(partition.topic)}-{partition.partition}-"
        f"{_written(before.positions[partition])}-{_written(position)}"
        for before, after in zip(batch.before, batch.after, strict=True)
        for partition, position in after.positions.items()
        if position != before.positions.get(partition) and partition in before.positions
    ]
    epoch = max((after.epoch for after in batch.after), default=0)
    whole = "+".join(parts) or "unmoved"
    if len(whole) > LONGEST_NAME:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
        whole = f"{whole[:LONGEST_NAME]}~{digest}"
    return f"{whole}.e{epoch}"


def _safe(topic: str) -> str:
    """Return a topic's name with only what file names may hold everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", topic)


def _written(position: Position) -> str:
    """Return the numbers of a position; a text behind them is no part of the place."""
    parts = position if isinstance(position, tuple) else (position,)
    return "_".join(str(part) for part in parts if isinstance(part, int))


def _place(folder: Path, name: str) -> Path:
    """Return where a committed file is; after a crash it may not be shown yet."""
    shown = folder / name
    return shown if shown.exists() else folder / OWN_FOLDER / "staged" / name


@contextlib.contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"{doing} failed: {error.strerror or type(error).__name__}"
        if error.errno in _PASSING:
            raise Unavailable(message) from error
        raise Refused(message) from error
