"""What the proof and the benchmarks ask the broker, by its own client."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from demo import flights

NOT_YET = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.GROUP_ID_NOT_FOUND,
    KafkaError.NOT_COORDINATOR,
}
"""What a broker answers about a group whose coordinator is only starting."""

LATEST = OffsetSpec.latest()


class Broker:
    """An administrator's view of one broker."""

    def __init__(self, address: str) -> None:
        """Connect when first asked; ``address`` is ``host:port``."""
        self.address = address
        self._admin = AdminClient(
            {"bootstrap.servers": address, "log_level": flights.QUIET}
        )

    def topics(self) -> dict[str, int]:
        """Return each topic and its number of partitions."""
        found = self._admin.list_topics(timeout=flights.SECONDS).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def ends(self, topic: str, partitions: int) -> dict[int, int]:
        """Return the end offset of each partition of a topic."""
        wanted = {TopicPartition(topic, p): LATEST for p in range(partitions)}
        return {
            asked.partition: future.result().offset
            for asked, future in self._admin.list_offsets(wanted).items()
        }

    def messages(self, topic: str, partitions: int) -> int:
        """Return how many messages a topic without transactions has taken."""
        return sum(self.ends(topic, partitions).values())

    def groups(self) -> set[str]:
        """Return the names of all consumer groups."""
        listed = self._admin.list_consumer_groups(
            request_timeout=flights.SECONDS
        ).result()
        return {group.group_id for group in listed.valid}

    def shares(self, group: str) -> list[int]:
        """Return how many partitions each member of a group has; none if unknown."""
        try:
            described = self._admin.describe_consumer_groups([group])[group].result()
        except KafkaException as error:
            if error.args[0].code() in NOT_YET:
                return []
            raise
        return sorted(
            len(member.assignment.topic_partitions) if member.assignment else 0
            for member in described.members
        )


def wait_until(
    done: Callable[[], bool],
    what: str,
    *,
    check: Callable[[], None] = lambda: None,
    every_s: float = 0.01,
    timeout_s: float = 120.0,
) -> float:
    """Wait until ``done()``, and return the time then, as ``perf_counter`` tells.

    Args:
        done: Asked every ``every_s`` seconds.
        what: What is waited for, to name it in the error.
        check: Called in between; raises when waiting has become useless.
        every_s: Pause between two questions, in seconds.
        timeout_s: When to give up, in seconds.

    Raises:
        TimeoutError: It did not happen in time.
    """
    deadline = time.perf_counter() + timeout_s
    while not done():
        check()
        if time.perf_counter() > deadline:
            message = f"waited {timeout_s:.0f} s for {what}"
            raise TimeoutError(message)
        time.sleep(every_s)
    return time.perf_counter()


def shared_by(workers: int, partitions: int, shares: list[int]) -> bool:
    """Return whether all partitions are assigned, over this number of workers."""
    return len(shares) == workers and all(shares) and sum(shares) == partitions
