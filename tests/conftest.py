"""Fixtures that all tests share: the real servers, and names nobody else uses."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from streamlab import stack as local_stack
from streamlab.settings import STATE_FOLDER
from streamlab.stack import SERVERS, Stack, ports
from tests.secured_kafka import Secured, SecuredKafka, opened, prepared

_PREFIX = "streamlab-test-"
_ADMIN_PATIENCE_S = 20  # seconds


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Run Kafka and PostgreSQL, for all tests that leave them running."""
    with _temporary_home() as home, local_stack.up(home) as running:
        yield running


@pytest.fixture
def own_stack() -> Iterator[Callable[..., Stack]]:
    """Return a function that starts servers of the test's own, to kill and pause.

    ``own_stack()`` starts both, ``own_stack("kafka")`` only the broker.
    """
    with contextlib.ExitStack() as opened:

        def start(*servers: str) -> Stack:
            home = opened.enter_context(_temporary_home())
            return opened.enter_context(
                local_stack.up(home, servers=servers or SERVERS)
            )

        yield start


@pytest.fixture
def temporary_home() -> Iterator[Path]:
    """Return an empty folder for a stack; what runs in it at the end is stopped."""
    with _temporary_home() as home:
        yield home


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    """Run a broker that asks who comes, and what they may do."""
    with _temporary_home() as home:
        folder = home / STATE_FOLDER / "kafka"
        chosen = ports.choose(SecuredKafka.port_names, 0, {})
        yield opened(prepared(folder, chosen))


@pytest.fixture(scope="session")
def kafka_address(stack: Stack) -> str:
    """Return ``host:port`` of the shared broker."""
    return stack.kafka


@pytest.fixture(scope="session")
def postgres_dsn(stack: Stack) -> str:
    """Return the DSN of the shared PostgreSQL."""
    return stack.postgres


@pytest.fixture
def topic_name() -> str:
    """Return a topic name nobody else uses; the topic is not created."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def make_topic(kafka_address: str) -> Callable[..., str]:
    """Return a function that creates a topic on the shared broker.

    ``make_topic(partitions=4, **topic_settings)`` returns the new topic's name;
    ``address=`` names another broker, such as one of ``own_stack``. Dots in the
    names of settings are written as underscores.
    """

    def make(
        partitions: int = 1, *, address: str = kafka_address, **settings: object
    ) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        topic = NewTopic(
            name,
            num_partitions=partitions,
            replication_factor=1,
            config={key.replace("_", "."): str(v) for key, v in settings.items()},
        )
        admin = AdminClient({"bootstrap.servers": address})
        created = admin.create_topics([topic], operation_timeout=_ADMIN_PATIENCE_S)
        created[name].result(_ADMIN_PATIENCE_S)
        return name

    return make


@contextlib.contextmanager
def _temporary_home() -> Iterator[Path]:
    """Make a folder for a stack, and remove it with what still runs in it.

    Its name holds our pid: a test run that was killed leaves servers behind, which
    the next run finds by that and takes down.
    """
    _take_down_abandoned()
    # Not pytest's tmp_path: only its owner may enter that, and PostgreSQL runs as
    # another user where the tests run as root.
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield home
    finally:
        local_stack.down(home)
        shutil.rmtree(home)


def _take_down_abandoned() -> None:
    for home in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = int(home.name.removeprefix(_PREFIX).partition("-")[0])
        if not psutil.pid_exists(pid):
            local_stack.down(home)
            shutil.rmtree(home, ignore_errors=True)
