"""Choose the TCP ports of a server."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Mapping, Sequence

from streamlab.errors import StackError
from streamlab.stack.server import LOOPBACK

_RANGE = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections, so that none of those
can take a port between its choice and the server's start."""


def choose(
    names: Sequence[str], asked: int, remembered: Mapping[str, int]
) -> dict[str, int]:
    """Return a free port for each name.

    Args:
        names: The ports to choose; the first is the one for clients.
        asked: What the first must be; 0 for any.
        remembered: The ports of the last start, used again where they are free.

    Raises:
        StackError: The port that was asked for cannot be had.
    """
    if asked and (why := _obstacle(asked)):
        raise StackError(
            f"port {asked} cannot be used: {why}",
            hint="ask for another port, or for none to have a free one chosen",
        )
    chosen: dict[str, int] = {names[0]: asked} if asked else {}
    for name in names[len(chosen) :]:
        port = remembered.get(name, 0)
        if port in chosen.values() or not (port and is_free(port)):
            port = _any_free(chosen.values())
        chosen[name] = port
    return chosen


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port of loopback now."""
    return not _obstacle(port)


def _obstacle(port: int) -> str:
    """Return why a server could not listen on a port of loopback, or ``""``."""
    with socket.socket() as listener:
        # As servers do: a connection that lingers after its end is no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError as error:
            return error.strerror or "it cannot be listened on"
        except OverflowError:
            return "ports go up to 65535"
        return ""


def _any_free(taken: Collection[int]) -> int:
    for port in random.sample(_RANGE, len(_RANGE)):
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no port from {_RANGE.start} to {_RANGE.stop} is free")
