"""Subjects: under which name a topic's schema is kept, and which one is written with.

The options have the names of Confluent's serializers.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamlab.errors import Refused, UsageError, near_names
from streamlab.registry import AUTO, LATEST, RECORD, STRATEGY
from streamlab.registry.client import Registry
from streamlab.registry.schemas import Registered

STRATEGIES = ("topic", "record", "topic-record")

VALUE, KEY = "value", "key"
"""The parts of a message that have a schema."""

_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Writing:
    """How the schema to write with is found.

    Attributes:
        topic: The topic.
        strategy: What names the subject: the topic, the record, or both.
        auto_register: Whether a schema that the subject lacks is added to it.
        use_latest: Whether the newest schema of the subject is written with, instead
            of one made from the columns.
        record: Full name of the record; empty for one made from the topic's.
        part: The part of the message.
    """

    topic: str
    strategy: str = "topic"
    auto_register: bool = False
    use_latest: bool = False
    record: str = ""
    part: str = VALUE

    @classmethod
    def of(cls, topic: str, options: Mapping[str, str]) -> Writing:
        """Return what the options of a format say.

        Raises:
            UsageError: An option has a value that it cannot have.
        """
        strategy = options.get(STRATEGY, "topic")
        if strategy not in STRATEGIES:
            raise UsageError(
                f"{STRATEGY} cannot be {strategy!r}",
                hint=near_names(strategy, STRATEGIES),
            )
        writing = cls(
            topic,
            strategy,
            _flag(options, AUTO),
            _flag(options, LATEST),
            options.get(RECORD, ""),
        )
        if writing.auto_register and writing.use_latest:
            raise UsageError(f"{AUTO} and {LATEST} exclude each other")
        return writing

    def subject(self, record: str) -> str:
        """Return the name of the subject.

        Args:
            record: Full name of the record, where the schema has one.

        Raises:
            UsageError: It needs a name that is not there.
        """
        if self.strategy != "topic" and not record:
            raise UsageError(
                f"{STRATEGY} = {self.strategy} needs the name of the record",
                hint=f'"{RECORD}" = "com.example.Order"',
            )
        if self.strategy == "record":
            return record
        if not self.topic:
            raise UsageError(
                "the subject of the schema is named after a topic, and there is none",
                hint=f'"{STRATEGY}" = "record"',
            )
        if self.strategy == "topic":
            return f"{self.topic}-{self.part}"
        return f"{self.topic}-{record}"

    def schema(self, registry: Registry, made: Registered, record: str) -> Registered:
        """Return the registered schema to write with.

        Args:
            registry: Where it is.
            made: One made from the columns.
            record: Full name of its record.

        Raises:
            Refused: The subject does not have it, or refuses to take it.
            Unavailable: The registry does not answer.
        """
        subject = self.subject(record)
        if self.use_latest:
            return self.latest(registry, record)
        if self.auto_register:
            return replace(made, id=registry.register(subject, made))
        found = registry.registered(subject, made)
        if found is None:
            raise Refused(
                f"subject {subject!r} has no schema that fits the columns exactly",
                hint=f'write with its newest: "{LATEST}" = true; or add one made from '
                f'the columns: "{AUTO}" = true',
            )
        return found

    def latest(self, registry: Registry, record: str) -> Registered:
        """Return the newest schema of the subject.

        Raises:
            Refused: The registry has no such subject.
            Unavailable: The registry does not answer.
        """
        subject = self.subject(record)
        found = registry.latest(subject)
        if found is None:
            raise Refused(
                f"the registry {registry} has no subject {subject!r}",
                hint=f'register its schema first, or "{AUTO}" = true',
            )
        return found


def _flag(options: Mapping[str, str], name: str) -> bool:
    written = str(options.get(name, "false")).lower()
    if written not in _FLAGS:
        raise UsageError(f"{name} must be true or false")
    return _FLAGS[written]
