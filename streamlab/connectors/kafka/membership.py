"""How a reader is a member of its consumer group: the options that decide it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLASSIC: Mapping[str, object] = {
    # How long the partitions of a killed worker lie idle. The default of 45 s makes a
    # restart wait that long; 6 s is the least that a broker takes by default.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_500,
}
"""Defaults for ``group.protocol=classic``; with the other one the broker decides."""

DEFAULTS: Mapping[str, object] = {
    "isolation.level": "read_committed",
    # The default of 1,000 ms idles the consumer each time its queue is full.
    "fetch.queue.backoff.ms": 5,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "socket.timeout.ms": 10_000,
}
"""Options that a profile or a source may set otherwise."""

REQUIRED: Mapping[str, object] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Never skip silently: an offset that is not there any more is an error.
    "auto.offset.reset": "error",
    "enable.partition.eof": False,
    "allow.auto.create.topics": False,
}
"""Options that the promises of a reader rest on."""


def options_of(options: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return all options of a group's member.

    Args:
        options: Connection options and tuning, references resolved.
        group: The consumer group.
    """
    return {
        "client.id": group,
        **DEFAULTS,
        **({} if _is_timed_by_broker(options) else CLASSIC),
        **options,
        **REQUIRED,
        "group.id": group,
    }


def is_incremental(options: Mapping[str, Any]) -> bool:
    """Return whether rebalances come as differences rather than as whole lists."""
    strategy = str(options.get("partition.assignment.strategy", ""))
    return _is_timed_by_broker(options) or "cooperative" in strategy


def _is_timed_by_broker(options: Mapping[str, Any]) -> bool:
    """Return whether the broker sets the timeouts of the group (KIP-848)."""
    return options.get("group.protocol") == "consumer"
