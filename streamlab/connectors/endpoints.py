"""Hosts and ports of servers: looked up and reached, in bounded time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from streamlab.errors import Unavailable

PORTS = range(1, 65_536)
NAME_S = 4.0
REACH_S = 4.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host, as a name or an address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port}"


def find(endpoint: Endpoint) -> None:
    """Look the name of a host up.

    Raises:
        Unavailable: It has no address, or the port is none.
    """
    if endpoint.port not in PORTS:
        raise Unavailable(f"{endpoint} has no port: ports go up to {PORTS[-1]}")
    try:
        socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        message = f"the name {endpoint.host} does not resolve"
        raise Unavailable(message) from error


def connected(endpoint: Endpoint, timeout_s: float = REACH_S) -> socket.socket:
    """Return an open connection; reading and writing have the same time limit.

    Raises:
        Unavailable: It cannot be made, with the reason.
    """
    try:
        return socket.create_connection((endpoint.host, endpoint.port), timeout_s)
    except ConnectionRefusedError as error:
        message = f"nothing listens at {endpoint}: the connection is refused"
        raise Unavailable(message) from error
    except TimeoutError as error:
        message = f"{endpoint} does not answer within {timeout_s:g} s"
        raise Unavailable(message) from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Unavailable(f"{endpoint} cannot be reached: {why}") from error


def reach(endpoint: Endpoint) -> None:
    """Open a connection and close it.

    Raises:
        Unavailable: It cannot be made.
    """
    connected(endpoint).close()


def failures(
    test: Callable[[Endpoint], None], all_of: Iterable[Endpoint], timeout_s: float
) -> dict[Endpoint, str]:
    """Test all endpoints at once, and return what is wrong with those that fail.

    A name server that does not answer holds its caller up for a long time, so each
    test is a thread that is left behind when the time is over.
    """
    wrong = dict.fromkeys(all_of, f"no answer within {timeout_s:g} s")

    def run(endpoint: Endpoint) -> None:
        try:
            test(endpoint)
        except Unavailable as error:
            wrong[endpoint] = error.message
        else:
            wrong.pop(endpoint, None)

    threads = [
        threading.Thread(target=run, args=(each,), daemon=True) for each in wrong
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(wrong)
