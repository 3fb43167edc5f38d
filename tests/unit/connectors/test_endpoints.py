"""Hosts and ports, looked up and reached within their time."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from streamlab.connectors import endpoints
from streamlab.connectors.endpoints import Endpoint
from streamlab.errors import Unavailable

SEVERAL = [Endpoint("a.invalid", 1), Endpoint("b.invalid", 2)]


def test_a_test_that_never_returns_is_left_behind():
    """All are tested at once, and the time counts for all of them together."""
    never = threading.Event()
    started = time.monotonic()
    wrong = endpoints.failures(lambda _: never.wait(), SEVERAL, 0.2)
    assert time.monotonic() - started < 2
    assert set(wrong.values()) == {"no answer within 0.2 s"}
    never.set()


def test_only_those_that_fail_are_returned():
    """One of several that works is enough to go on with."""

    def tested(endpoint: Endpoint) -> None:
        if endpoint.port == 1:
            raise Unavailable("no")

    assert endpoints.failures(tested, SEVERAL, 5) == {SEVERAL[0]: "no"}


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (Endpoint("broker.invalid", 9092), "the name broker.invalid does not resolve"),
        (Endpoint("localhost", 99_999), "ports go up to 65535"),
    ],
)
def test_what_cannot_be_looked_up_is_told(endpoint, said):
    """A name without an address, and a number that is no port."""
    with pytest.raises(Unavailable, match=said):
        endpoints.find(endpoint)


def test_a_port_where_nothing_listens_is_told():
    """The system refuses at once."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match="nothing listens at"):
            endpoints.reach(Endpoint("127.0.0.1", port))
