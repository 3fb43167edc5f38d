"""Messages of logical replication to columns of text, in commit order.

With version 1 of the protocol the server decodes a transaction only when it has
committed, and sends transactions one behind the other, in the order of their commits:
"the logical replication solution … sends individual transactions one by one". Begin
carries the LSN and time of the commit, so a change has its final place before its
Commit arrives, and a transaction of any size passes through in pieces.

Source: https://www.postgresql.org/docs/current/protocol-logical-replication.html and
https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.connectors.postgres.changes import messages as read
from streamlab.connectors.postgres.changes.images import images
from streamlab.connectors.postgres.changes.messages import LogicalMessage, Transaction
from streamlab.connectors.postgres.changes.relation import Relation
from streamlab.connectors.postgres.changes.tuples import FEW_ROWS, Misshapen, Tuples
from streamlab.errors import Refused
from streamlab.formats.changes import OPERATIONS

PROTOCOL_VERSION = 1
OPTIONS: Mapping[str, str] = {"proto_version": str(PROTOCOL_VERSION)}
"""Options of START_REPLICATION that the decoder expects, besides the publication.

``messages 'true'`` may be added; ``binary`` and ``streaming`` must not.
"""

INDEX_STEP = 2
"""How far the indexes of two changes of a transaction are apart: see Changes."""

_ROW_TAGS = frozenset(b"IUD")
_IMAGE_PLACE = 5  # behind the tag and the relation's object id
_ALL = 1 << 62  # an index that no change has


@dataclass(frozen=True, slots=True)
class Position:
    """A change's place: unique, and rising in the order of the commits.

    Attributes:
        lsn: Where the transaction's commit record begins (Begin's final LSN).
        index: The change's place within the transaction.
    """

    lsn: int
    index: int


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one version of one table, in commit order, as columns of text.

    All series have one item a change.

    Attributes:
        relation: The version.
        op: insert, update, delete or truncate (of :data:`OPERATIONS`).
        lsn: Int64: where the transaction's commit record begins.
        index: Int64: the change's place among **all** changes of its transaction, of
            every table. It goes up in steps of two, so that the second half of a
            changed key finds its place in between, and does not depend on what is
            known about keys. The same WAL gives the same indexes each time.
        commit_time: Datetime (us, UTC).
        xid: UInt32: the transaction's number.
        new: The row after the change: inserts and updates have it.
        old: The row before it: deletes have it, and updates that changed the replica
            identity, or all updates with the identity FULL.
        is_whole: Boolean: ``old`` is the whole row rather than the identity's columns,
            of which the others are null.
    """

    relation: Relation
    op: pl.Series
    lsn: pl.Series
    index: pl.Series
    commit_time: pl.Series
    xid: pl.Series
    new: Tuples
    old: Tuples
    is_whole: pl.Series

    def __len__(self) -> int:
        """Return the number of changes."""
        return len(self.op)


@dataclass(frozen=True, slots=True)
class Batch:
    """What some messages of the stream amount to.

    A table has one item in ``changes`` for each version of it, older ones first.
    Between tables, (lsn, index) says what came first.

    Attributes:
        changes: The changes, by table and version.
        relations: Descriptions of tables that are new to this decoder, or differ
            from the one before, in the order they came. Compare them **before** the
            changes are used: it is the only word about DDL there is.
        messages: What applications emitted with ``pg_logical_emit_message``.
        position: Of the last change, None if there is none.
        in_transaction: Whether more of the last transaction follows.
        confirmable_lsn: Up to where the server may forget, once everything of this
            batch **and all before it** is durable: the end of the last transaction
            that is complete; None if none was completed since the decoder began.
            A transaction that is not complete is sent again as a whole after a
            reconnect; its durable part is then skipped by :class:`Position`.
        transactions: How many were completed in this batch.
    """

    changes: tuple[Changes, ...]
    relations: tuple[Relation, ...]
    messages: tuple[LogicalMessage, ...]
    position: Position | None
    in_transaction: bool
    confirmable_lsn: int | None
    transactions: int

    def __len__(self) -> int:
        """Return the number of changes."""
        return sum(map(len, self.changes))


@dataclass(slots=True)
class _Run:
    """Messages of one version of a table, gathered while a batch is read."""

    relation: Relation
    payloads: list[bytes] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    # Where in the run a transaction begins.
    starts: list[int] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    newest: Transaction | None = None

    def mark(self, transaction: Transaction) -> None:
        """Note that what follows belongs to another transaction."""
        self.newest = transaction
        self.starts.append(len(self.payloads))
        self.transactions.append(transaction)


class Decoder:
    """Decodes one stream, from its START_REPLICATION on.

    Not thread-safe; after an error it must not be used again. A reconnect needs a new
    one: the server describes every table again.
    """

    def __init__(self, after: Position | None = None) -> None:
        """Begin a stream.

        Args:
            after: The last change that is already durable downstream. It and what
                came before it are left out; the server sends whole transactions.
        """
        self._after = after or Position(-1, -1)
        self._relations: dict[int, Relation] = {}
        self._transaction: Transaction | None = None
        self._index = 0  # of the next change
        self._skip_to = -1  # the last index that is left out of the transaction
        self._confirmable: int | None = None
        self._handlers: Mapping[int, Callable[[int, bytes], None]] = {
            ord("B"): self._begin,
            ord("C"): self._commit,
            ord("R"): self._relation,
            ord("T"): self._truncate,
            ord("M"): self._message,
            ord("Y"): self._type,
            ord("O"): self._origin,
        }
        self._begin_batch()

    @property
    def in_transaction(self) -> bool:
        """Return whether the stream is within a transaction."""
        return self._transaction is not None

    @property
    def relations(self) -> Mapping[int, Relation]:
        """Return the newest version of each table that the stream described."""
        return self._relations

    def feed(self, messages: Sequence[tuple[int, bytes]]) -> Batch:
        """Decode messages as they came, each once, in order.

        Args:
            messages: For each XLogData, its start LSN and what follows its header of
                25 bytes.

        Returns:
            Every change in them that is not left out, whether or not its transaction
            is complete.

        Raises:
            Refused: A message is not what the protocol says. Nothing of the batch may
                be used; the error names the LSN, and no value.
        """
        self._begin_batch()
        for lsn, payload in messages:
            tag = payload[0] if payload else 0
            if tag in _ROW_TAGS:
                # The bytes of the object id are their own key: no need to read them.
                self._add(lsn, payload[1:_IMAGE_PLACE], payload)
            elif tag in self._handlers:
                self._handle(tag, lsn, payload)
            else:
                raise violation(lsn, f"a message has the unknown tag {chr(tag)!r}")
        return Batch(
            tuple(_changes(run, messages) for run in self._runs),
            tuple(self._described),
            tuple(self._emitted),
            self._position(),
            self.in_transaction,
            self._confirmable,
            self._completed,
        )

    def _position(self) -> Position | None:
        """Return the place of the batch's last change."""
        if self._last is None:
            return None
        transaction, index = self._last
        return Position(transaction.commit_lsn, index)

    def _begin_batch(self) -> None:
        self._runs: list[_Run] = []
        self._open: dict[bytes, _Run] = {}  # by the object id's bytes
        self._described: list[Relation] = []
        self._emitted: list[LogicalMessage] = []
        self._completed = 0
        self._last: tuple[Transaction, int] | None = None

    def _handle(self, tag: int, lsn: int, payload: bytes) -> None:
        try:
            self._handlers[tag](lsn, payload)
        except (struct.error, IndexError, ValueError):
            what = f"a message of the tag {chr(tag)!r} does not have its form"
            raise violation(lsn, what) from None

    def _begin(self, lsn: int, payload: bytes) -> None:
        if self._transaction is not None:
            raise violation(lsn, "a transaction begins inside of another one")
        self._transaction = begun = read.read_begin(payload)
        self._index = 0
        after = self._after
        self._skip_to = -1
        if begun.commit_lsn == after.lsn:
            self._skip_to = after.index
        elif begun.commit_lsn < after.lsn:
            self._skip_to = _ALL

    def _commit(self, lsn: int, payload: bytes) -> None:
        commit_lsn, end_lsn = read.read_commit(payload)
        if self._transaction is None or self._transaction.commit_lsn != commit_lsn:
            raise violation(lsn, "a transaction ends that did not begin")
        self._transaction = None
        self._confirmable = end_lsn
        self._completed += 1

    def _relation(self, _: int, payload: bytes) -> None:
        relation = read.read_relation(payload)
        if self._relations.get(relation.oid) == relation:
            return  # it is described again whenever the server's cache was emptied
        self._relations[relation.oid] = relation
        self._described.append(relation)
        self._open.pop(relation.oid.to_bytes(4, "big"), None)

    def _truncate(self, lsn: int, payload: bytes) -> None:
        for oid in read.read_truncate(payload):
            self._add(lsn, oid.to_bytes(4, "big"), payload)

    def _add(self, lsn: int, oid: bytes, payload: bytes) -> None:
        """Add a change to its table's run. Each change of a stream comes by here."""
        transaction = self._transaction
        if transaction is None:
            raise violation(lsn, "a change stands outside of a transaction")
        index = self._index
        self._index = index + INDEX_STEP
        if index <= self._skip_to:
            return
        run = self._open.get(oid) or self._new_run(lsn, oid)
        if run.newest is not transaction:
            run.mark(transaction)
        run.payloads.append(payload)
        run.indexes.append(index)
        self._last = transaction, index

    def _new_run(self, lsn: int, key: bytes) -> _Run:
        oid = int.from_bytes(key, "big")
        relation = self._relations.get(oid)
        if relation is None:
            what = f"a change is of a table (oid {oid}) that was not described"
            raise violation(lsn, what)
        run = self._open[key] = _Run(relation)
        self._runs.append(run)
        return run

    def _message(self, _: int, payload: bytes) -> None:
        self._emitted.append(read.read_logical_message(payload))

    def _type(self, _: int, payload: bytes) -> None:
        read.read_type(payload)  # the catalog knows more; only its form is checked

    def _origin(self, _: int, payload: bytes) -> None:
        read.read_origin(payload)  # nothing depends on it; only its form is checked


def _changes(run: _Run, messages: Sequence[tuple[int, bytes]]) -> Changes:
    """Return the columns of a run.

    Raises:
        Refused: A message does not have its form.
    """
    try:
        image = images(run.payloads, len(run.relation.columns))
    except Misshapen as error:
        culprit = run.payloads[error.row]
        lsn = next(lsn for lsn, payload in messages if payload is culprit)
        what = f"a change of {run.relation} does not have its form: {error.what}"
        raise violation(lsn, what) from None
    facts = _facts(run)
    return Changes(
        run.relation,
        _operations(image.operation),
        facts["lsn"],
        pl.Series(run.indexes, dtype=pl.Int64),
        facts["time"].cast(pl.Datetime("us", "UTC")),
        facts["xid"],
        image.new,
        image.old,
        image.is_whole,
    )


def _operations(numbers: pl.Series) -> pl.Series:
    """Return the names of operations, of few ones in the thread of the caller."""
    if len(numbers) > FEW_ROWS:
        return numbers.cat.to(OPERATIONS)
    names = OPERATIONS.categories
    return pl.Series([names[number] for number in numbers], dtype=OPERATIONS)


def _facts(run: _Run) -> Mapping[str, pl.Series]:
    """Return what is known of the transaction of each change."""
    ends = [*run.starts[1:], len(run.payloads)]
    if len(run.payloads) <= FEW_ROWS:
        return _few_facts(run, ends)
    repeated = pl.DataFrame(
        [
            (one.commit_lsn, one.commit_time_us, one.xid, end - start)
            for one, start, end in zip(run.transactions, run.starts, ends, strict=True)
        ],
        schema={**_FACTS, "n": pl.UInt32},
        orient="row",
    )
    return repeated.select(pl.col(_FACTS).repeat_by("n").explode()).to_dict()


_FACTS = {"lsn": pl.Int64, "time": pl.Int64, "xid": pl.UInt32}


def _few_facts(run: _Run, ends: Sequence[int]) -> Mapping[str, pl.Series]:
    """Do what :func:`_facts` does, in the thread of the caller."""
    each: list[Transaction] = []
    for one, start, end in zip(run.transactions, run.starts, ends, strict=True):
        each += [one] * (end - start)
    return {
        "lsn": pl.Series([one.commit_lsn for one in each], dtype=pl.Int64),
        "time": pl.Series([one.commit_time_us for one in each], dtype=pl.Int64),
        "xid": pl.Series([one.xid for one in each], dtype=pl.UInt32),
    }


def violation(lsn: int, what: str) -> Refused:
    """Return the error about a message of the stream; ``what`` has no value in it."""
    return Refused(
        f"the replication stream is not understood at LSN {lsn_text(lsn)}: {what}",
        hint="nothing was skipped. If it happens again at the same LSN, report it "
        "with the server's version; proto_version must be 1, without binary or "
        "streaming",
    )


def lsn_text(lsn: int) -> str:
    """Return an LSN as PostgreSQL writes it: ``16/B374D848``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFF_FFFF:X}"


def lsn_number(text: str) -> int:
    """Return the number of an LSN that PostgreSQL wrote."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)
