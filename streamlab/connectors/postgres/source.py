"""The PostgreSQL source: the rows of tables, then every change, in commit order."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar

import psycopg

from streamlab import registry
from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.connection import NAME_BYTES
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import lsn, published
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.connectors.postgres.reading.kept import KeptProgress
from streamlab.connectors.postgres.reading.looking import Reading, look
from streamlab.connectors.postgres.reading.reader import PostgresReader
from streamlab.connectors.postgres.reading.seen import Seen
from streamlab.connectors.postgres.reading.shapes import (
    EVENT_COLUMNS,
    DebeziumAvroShape,
    DebeziumShape,
    FlatShape,
    RowShape,
    Shape,
)
from streamlab.contracts import Schema
from streamlab.errors import Fenced, Unavailable, UsageError
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import Listener, Source, Start

PREFIX = "streamlab_"
ATTEMPTS = 4
BETWEEN_S = 0.5
LET_GO_S = 5.0  # a server notices after a moment that a reader has gone
LET_GO_POLL_S = 0.1
_FOREIGN = re.compile(r"[^a-z0-9_]")
_SLOT = re.compile(r"[a-z0-9_]+")

T = TypeVar("T")


@dataclass(frozen=True)
class PostgresSource(Source):
    """Tables of a PostgreSQL database: first their rows, then what changes.

    One table gives its rows with their types; several give encoded events.

    Attributes:
        tables: ``schema.table`` each, as they are or quoted as in SQL. They are
            published; without any the publication says which.
        publication: Name of the publication; made if it is not there. By default one
            is made for the pipeline.
        slot: Name of the replication slot; by default the pipeline's.
        snapshot: ``initial`` reads the rows that are there first; ``never`` only what
            changes from now on.
        shape: ``rows`` are a table's columns, ``flat`` events with the row as JSON,
            ``debezium`` events in Debezium's envelope, ``debezium-avro`` the same in
            Avro; by default rows for one table and flat events for several.
        publish: ``all`` changes, or ``inserts`` only: for tables without a key.
        keys: Columns that tell the rows of a table apart, by ``schema.table``: for
            tables without a key that have the replica identity FULL, or of which only
            inserts are published. They must be unique and not null.
        as_text: Columns to read as text, where their type cannot hold some values.
        accept: Versions of tables to go on with though columns were removed or
            retyped, as the error names them.
        failover: Whether standbys keep the slot, too, where the server can (17+).
        profile: Profile of the settings file that has the database.
        dsn: Connection string or a reference such as ``${env:DSN}``, instead of the
            profile's.
    """

    format: ClassVar[str] = "rows"
    forgets_when: ClassVar[str] = "the slot was dropped, or the file removed"

    tables: Sequence[str] = ()
    publication: str = ""
    slot: str = ""
    snapshot: Literal["initial", "never"] = "initial"
    shape: Literal["", "rows", "flat", "debezium", "debezium-avro"] = ""
    publish: Literal["all", "inserts"] = "all"
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    as_text: Sequence[str] = ()
    accept: Sequence[str] = ()
    failover: bool = True
    profile: str = ""
    dsn: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check what needs no connection."""
        for name in ("tables", "as_text", "accept"):
            value = getattr(self, name)
            listed = (value,) if isinstance(value, str) else tuple(value)
            object.__setattr__(self, name, listed)
        keys = {
            table: (names,) if isinstance(names, str) else tuple(names)
            for table, names in self.keys.items()
        }
        object.__setattr__(self, "keys", keys)
        if not self.tables and not self.publication:
            message = "a PostgreSQL source needs tables, or a publication"
            raise UsageError(message, hint='tables = ["public.orders"]')
        if self.slot and not _SLOT.fullmatch(self.slot):
            message = f"{self.slot!r} cannot name a replication slot"
            raise UsageError(message, hint="use lower-case letters, digits and '_'")
        if self.shape == "rows" and len(self.tables) != 1:
            message = "rows of several tables have no columns in common"
            raise UsageError(message, hint='name one table, or use shape = "flat"')

    def open(self, pipeline: str, listener: Listener) -> PostgresReader:
        """Look at the database; nothing is made before the first poll.

        Raises:
            SettingsError: Avro is asked for, and the profile has no schema registry.
            MissingExtra: It is, and the extra ``registry`` is not installed.
        """
        if self.shape == "debezium-avro":
            registry.connect(self.profile)
        return PostgresReader(self.reading(pipeline), listener)

    def describe(self) -> str:
        """Return one line for the plan."""
        if not self.tables:
            return f"postgres publication {self.publication}"
        few = ", ".join(self.tables)
        return f"postgres table{'s' * (len(self.tables) > 1)} {few}"

    def schema(self) -> Schema:
        """Return the columns of the events; rows are those of the table now.

        Raises:
            UsageError: The table is not there, or cannot be published.
            Unavailable: The database cannot be reached.
        """
        if not self._has_rows:
            return Schema.of(EVENT_COLUMNS, "changes")
        found = _patiently(lambda: look(self.reading("schema")))
        table = found.tables[0]
        shape = found.versions.of(table.relation)
        empty = RowShape().shaped(shape, shape.schema.to_frame())
        return Schema.of(empty.schema, table.relation.table)

    def topics(self, pipeline: str) -> tuple[str, ...]:
        """Return the slot, which names the one partition."""
        return (self._slot(pipeline),)

    def keeps_position_in(self, pipeline: str) -> str:
        """Return the slot, and the file that has what a slot cannot hold."""
        return f"slot {self._slot(pipeline)} and a file beside the settings"

    def spelled(self, position: Position) -> str:
        """Return ``0/16B3748:3``."""
        return lsn.spelled(position)

    def parsed(self, text: str) -> Position:
        """Return the position of ``0/16B3748:3``."""
        return lsn.parsed(text)

    def positions(self, pipeline: str) -> PostgresPositions:
        """Return where the pipeline stands in the log."""
        return PostgresPositions(self.reading(pipeline), _own(pipeline))

    def reading(self, pipeline: str) -> Reading:
        """Return what a reader needs to know."""
        return Reading(
            address=database.find(self.profile, self.dsn),
            slot=self._slot(pipeline),
            publication=self.publication or _own(pipeline),
            tables=self.tables,
            shape=self._shape(pipeline),
            with_snapshot=self.snapshot == "initial",
            failover=self.failover,
            as_text=self.as_text,
            keys=self.keys,
            accept=self.accept,
            inserts_only=self.publish == "inserts",
        )

    def _slot(self, pipeline: str) -> str:
        return self.slot or _own(pipeline)

    @property
    def _has_rows(self) -> bool:
        return self.shape == "rows" or (not self.shape and len(self.tables) == 1)

    def _shape(self, pipeline: str) -> Shape:
        if self._has_rows:
            return RowShape()
        if self.shape == "debezium-avro":
            return DebeziumAvroShape(pipeline, self.profile)
        return DebeziumShape(pipeline) if self.shape == "debezium" else FlatShape()


def _patiently(call: Callable[[], T]) -> T:
    """Return what a call returns, also if the connection breaks a few times.

    A pipeline that is loaded is not run yet: nothing else would try again.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except Unavailable:
            time.sleep(BETWEEN_S)
    return call()


def _own(pipeline: str) -> str:
    """Return the name that a slot and a publication of a pipeline have."""
    return (PREFIX + _FOREIGN.sub("_", pipeline.lower()))[:NAME_BYTES]


class PostgresPositions:
    """Positions seen and set from outside; see ``SourcePositions``."""

    def __init__(self, reading: Reading, own: str) -> None:
        """Look at the database.

        Args:
            reading: What a reader needs to know.
            own: The publication that would be made for the pipeline.
        """
        self._reading, self._own = reading, own
        self._kept = KeptProgress.of(reading.slot)
        self._look = look(reading)

    def incarnations(self) -> Mapping[str, str]:
        """Return which database it is."""
        return {self._reading.slot: self._look.incarnation}

    def locate(self, start: Start) -> Mapping[TopicPartition, Position]:
        """Return where ``earliest`` (a new snapshot) or ``latest`` points to.

        Raises:
            UsageError: It is a time: the log does not know of any.
        """
        if start == "earliest":
            return {self._reading.partition: lsn.NOT_BEGUN}
        if start != "latest":
            message = f"a database's log cannot be entered at {start!r}"
            raise UsageError(message, hint="use earliest, latest, or 0=0/16B3748")
        with (
            database.connect(self._reading.address, "streamlab position") as connection,
            translation("looking at the log"),
        ):
            return {self._reading.partition: (slots.log_end(connection), 0)}

    def stored(self) -> Mapping[TopicPartition, Progress]:
        """Return what is kept beside the settings."""
        kept = self._kept.read()
        return {} if kept is None else {self._reading.partition: kept}

    def store(self, progress: Sequence[Progress]) -> None:
        """Replace what is kept beside the settings.

        Raises:
            Fenced: A worker reads from the slot.
        """
        with (
            database.connect(self._reading.address, "streamlab position") as connection,
            translation("looking at the replication slot"),
        ):
            slot = slots.find(connection, self._reading.slot)
        if slot is not None and slot.active_pid is not None:
            message = f"slot {slot.name!r} is being read"
            raise Fenced(message)
        for one in progress:
            self._kept.write(one)

    def forget(self) -> None:
        """Drop the slot, the publication that was made for the pipeline, and its files.

        Raises:
            Fenced: A worker reads from the slot.
        """
        reading = self._reading
        with database.connect(reading.address, "streamlab position") as connection:
            _drop_slot(connection, reading.slot)
            if reading.publication == self._own:
                published.unpublish(connection, reading.publication)
        self._kept.forget()
        Seen.of(reading.slot).file.forget()


def _drop_slot(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a slot, if it is there; the worker that read it may just be leaving.

    Raises:
        Fenced: It is still being read.
    """
    patience = time.monotonic() + LET_GO_S
    while slots.find(connection, name) is not None:
        try:
            slots.drop(connection, name)
        except Unavailable as error:
            if time.monotonic() > patience:
                message = f"slot {name!r} is being read"
                hint = "stop the pipeline's workers first"
                raise Fenced(message, hint=hint) from error
            time.sleep(LET_GO_POLL_S)
