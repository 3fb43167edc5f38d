"""What a pipeline has seen of its server, in a file beside its position.

A position says where to read on. Whether that is still the same log, and a table still
means what it meant, takes more than a number: the timeline of the server, and the
versions of its tables. The stream describes a table before its first row after every
start, so a change that stopped a worker would pass at the next start if nobody
remembered what was before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from streamlab.connectors.postgres.changes.relation import (
    Column,
    Relation,
    differences,
)
from streamlab.connectors.postgres.reading.kept import KeptFile
from streamlab.errors import Refused


@dataclass(slots=True)
class Seen:
    """What one pipeline has seen.

    Attributes:
        file: Where it is kept.
        timeline: The server's timeline; 0 before it was known.
        versions: The tables that are read, by object id: their versions, each with the
            place in the log behind which it was described first, older ones first.
        is_new: Whether nothing was kept of it: it begins here.
    """

    file: KeptFile
    timeline: int = 0
    versions: dict[int, list[tuple[int, Relation]]] = field(default_factory=dict)
    is_new: bool = True

    @classmethod
    def of(cls, slot: str) -> Seen:
        """Return what is kept of a slot's pipeline."""
        file = KeptFile.of(slot, ".seen.json")
        found = file.read()
        if found is None:
            return cls(file)
        versions = {
            int(oid): [(lsn, _relation(one)) for lsn, one in described]
            for oid, described in found["tables"].items()
        }
        return cls(file, found["timeline"], versions, is_new=False)

    def begin_anew(self) -> None:
        """Forget everything: what comes is of a new snapshot."""
        self.timeline, self.versions = 0, {}

    def return_to(self, lsn: int) -> None:
        """Forget versions that were described behind a place: they come again."""
        for oid, described in list(self.versions.items()):
            # Of those before it only the last one counts from here on.
            self.versions[oid] = [one for one in described if one[0] < lsn][-1:]

    def know(self, oids: Iterable[int]) -> None:
        """Remember that tables are read."""
        fresh = [oid for oid in oids if oid not in self.versions]
        if fresh:
            self.versions.update((oid, []) for oid in fresh)
            self.write()

    def keep_only(self, oids: Collection[int]) -> None:
        """Forget tables that are not published any more: they may come back."""
        self.versions = {oid: v for oid, v in self.versions.items() if oid in oids}

    def forget_versions(self) -> None:
        """Forget how tables were described: their rows have a schema of their own."""
        self.versions = {oid: [] for oid in self.versions}

    def described(
        self, relations: Iterable[Relation], lsn: int, accepted: Collection[str] = ()
    ) -> None:
        """Compare versions that the stream has described with those before.

        Args:
            relations: The versions.
            lsn: A place before them in the log.
            accepted: Names of versions that are accepted whatever was before them.

        Raises:
            Refused: A table changed in a way that would change what its rows mean.
        """
        for one in relations:
            before = self.newest(one.oid)
            if before is not None and name_of(one) not in accepted:
                _require_additive(before, one)
            self.note([one], lsn)

    def newest(self, oid: int) -> Relation | None:
        """Return the version that a table had last; None if it was never seen."""
        described = self.versions.get(oid)
        return described[-1][1] if described else None

    def note(self, relations: Iterable[Relation], lsn: int) -> None:
        """Remember versions that were described behind a place."""
        changed = False
        for one in relations:
            if self.newest(one.oid) != one:
                self.versions.setdefault(one.oid, []).append((lsn, one))
                changed = True
        if changed:
            self.write()

    def note_timeline(self, timeline: int) -> None:
        """Remember the timeline that was found to be ours."""
        if timeline != self.timeline:
            self.timeline = timeline
            self.write()

    def write(self) -> None:
        """Keep it.

        Raises:
            Unavailable: It cannot be written now.
        """
        tables = {
            str(oid): [[lsn, asdict(one)] for lsn, one in described]
            for oid, described in self.versions.items()
        }
        self.file.write({"timeline": self.timeline, "tables": tables})


def name_of(relation: Relation) -> str:
    """Return ``schema.table:1f2e3d4c``: the same for the same columns and types."""
    text = json.dumps(asdict(relation), sort_keys=True)
    return f"{relation}:{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _require_additive(before: Relation, now: Relation) -> None:
    breaking = [one for one in differences(before, now) if not one.is_additive]
    if not breaking:
        return
    listed = ", ".join(
        f"{one.column or 'the table'} was {one.kind}" for one in breaking
    )
    message = (
        f"{before} has changed in a way that is not only an addition: {listed}. "
        "Nothing from behind the change was written"
    )
    raise Refused(
        message,
        hint="when what reads the target can take it, tell the source to go on: "
        f'accept = ["{name_of(now)}"]; or make another pipeline for the new columns',
    )


def _relation(stored: dict[str, Any]) -> Relation:
    columns = tuple(Column(**column) for column in stored["columns"])
    return Relation(**{**stored, "columns": columns})
