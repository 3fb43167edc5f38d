"""What must become of changes, found without streamlab: by SQL and by replaying.

The truth is a slot of its own, made before everything else and read at the end by an
SQL function; of each change only its tag, its table and its transaction are looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

Row = tuple[Any, ...]
Change = tuple[int, int, str, tuple[Any, ...], Row]
"""LSN, index, operation, key and the row."""


@dataclass
class Findings:
    """What is wrong with what a sink has, in numbers.

    Attributes:
        lost: Changes that are not there, or rows that a replay misses.
        doubled: Changes that are there more than once.
        out_of_order: Changes behind a later one.
        equal: Whether what they make is the table, row by row.
        notes: The first few in words.
    """

    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    equal: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        wrong = self.lost or self.doubled or self.out_of_order
        return not wrong and self.equal

    def note(self, what: str) -> None:
        """Keep one of the first few findings in words."""
        if len(self.notes) < 10:
            self.notes.append(what)

    def add(self, other: Findings) -> None:
        """Count the findings of another sink, too."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.out_of_order += other.out_of_order
        self.equal = self.equal and other.equal
        self.notes += other.notes


def judged(changes: Sequence[Change], table: dict[tuple[Any, ...], Row]) -> Findings:
    """Replay changes as they were written, and compare with the table.

    A row of a snapshot or an insert must be new, an update or a delete must find its
    row; so a change that is lost, doubled or contained twice does not go unseen even
    where the last state hides it.
    """
    found = Findings()
    last, seen = (-1, -1), set()
    rows: dict[tuple[Any, ...], Row] = {}
    for lsn, index, op, key, row in changes:
        if (lsn, index) in seen:
            found.doubled += 1
            found.note(f"{op} {key} twice at {lsn:X}:{index}")
            continue
        seen.add((lsn, index))
        if (lsn, index) < last:
            found.out_of_order += 1
            found.note(f"{op} {key} at {lsn:X}:{index} behind {last}")
        last = max(last, (lsn, index))
        if op == "truncate":
            rows.clear()
        elif op in {"snapshot", "insert"}:
            if key in rows:
                found.doubled += 1
                found.note(f"{op} of {key} at {lsn:X}:{index}, which is there")
            rows[key] = row
        elif key not in rows:
            found.lost += 1
            found.note(f"{op} of {key} at {lsn:X}:{index}, which is not there")
        elif op == "delete":
            del rows[key]
        else:
            rows[key] = row
    found.equal = rows == table
    if not found.equal:
        odd = {k for k in rows.keys() | table.keys() if rows.get(k) != table.get(k)}
        found.note(f"{len(odd)} rows differ, such as {sorted(odd, key=str)[:3]}")
    return found


def converged(changes: Sequence[Change], table: dict[tuple[Any, ...], Row]) -> Findings:
    """Apply changes by key, in their order, and compare with the table.

    For a sink that may repeat: an epoch comes again as it was, and rows of a snapshot
    as they are then. A place must still mean one change.
    """
    found = Findings()
    rows: dict[tuple[Any, ...], Row] = {}
    meant: dict[tuple[int, int], tuple[str, tuple[Any, ...], Row]] = {}
    for lsn, index, op, key, row in changes:
        if meant.setdefault((lsn, index), (op, key, row)) != (op, key, row):
            found.doubled += 1
            found.note(f"{lsn:X}:{index} is {op} {key}, and was another change")
        if op == "truncate":
            rows.clear()
        elif op == "delete":
            rows.pop(key, None)
        else:
            rows[key] = row
    found.lost = len({k for k in table if rows.get(k) != table[k]})
    found.equal = rows == table
    if not found.equal:
        odd = {k for k in rows.keys() | table.keys() if rows.get(k) != table.get(k)}
        found.note(f"{len(odd)} rows differ, such as {sorted(odd, key=str)[:3]}")
    return found


def compared(
    changes: Iterable[Change], truth: Sequence[tuple[int, int, str]], since: int
) -> Findings:
    """Compare what a sink has of the stream with what the server has sent.

    Args:
        changes: What the sink has.
        truth: LSN, index and operation of each change.
        since: LSN from which on everything must be there.
    """
    there = [(lsn, index, op) for lsn, index, op, *_ in changes if lsn >= since]
    wanted = [one for one in truth if one[0] >= since]
    found = Findings()
    found.lost = len(set(wanted) - set(there))
    found.doubled = len(there) - len(set(there)) + len(set(there) - set(wanted))
    for one in sorted(set(wanted) ^ set(there))[:5]:
        found.note(f"{'lost' if one in set(wanted) else 'invented'} {one}")
    return found


def truth(
    connection: psycopg.Connection[Any], slot: str, publication: str, oid: int
) -> list[tuple[int, int, str]]:
    """Return LSN, index and operation of every change of a table since a slot was made.

    A changed key counts as a delete and an insert.
    """
    rows = connection.execute(
        "select data from pg_logical_slot_peek_binary_changes("
        "%s, null, null, 'proto_version', '1', 'publication_names', %s)",
        [slot, publication],
    )
    found: list[tuple[int, int, str]] = []
    lsn = index = 0
    for (data,) in rows:
        tag = data[:1]
        if tag == b"B":
            (lsn,), index = struct.unpack_from("!Q", data, 1), 0
        elif tag == b"T":
            (count,) = struct.unpack_from("!I", data, 1)
            if oid in struct.unpack_from(f"!{count}I", data, 6):
                found.append((lsn, index, "truncate"))
                index += 2
        elif tag in b"IUD" and struct.unpack_from("!I", data, 1)[0] == oid:
            if tag == b"U" and data[5:6] == b"K":
                found += [(lsn, index, "delete"), (lsn, index + 1, "insert")]
            else:
                names = {b"I": "insert", b"U": "update", b"D": "delete"}
                found.append((lsn, index, names[tag]))
            index += 2
    return found
