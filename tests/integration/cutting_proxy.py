"""TCP proxies in front of a server, which break connections at chosen moments."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

import psycopg

_CHUNK = 65_536
_LATE_S = 0.2
_REPLICATES = b"START_REPLICATION"


class Proxy:
    """Forwards to a server, until connections are to be cut."""

    def __init__(self, server: tuple[str, int]) -> None:
        """Listen on a free loopback port; the server need not be there yet."""
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut: tuple[bytes, bool] | None = None
        self._open: set[socket.socket] = set()
        self._replicating: set[socket.socket] = set()
        self._swallowed: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_all(self) -> int:
        """Break every open connection; return how many there were."""
        ends = list(self._open)
        for end in ends:
            _break(end)
        return len(ends)

    def cut_at(self, marker: bytes, *, forward: bool) -> None:
        """Break the connection when the client sends the bytes.

        Args:
            marker: The bytes.
            forward: Whether the server still gets them, and answers into the void.
        """
        self._cut = (marker, forward)

    def mend(self) -> None:
        """Forward everything again."""
        self._cut = None

    def swallow_replication(self) -> int:
        """Let the bytes of open replication connections vanish, both ways, silently.

        Returns:
            How many there were.
        """
        self._swallowed |= self._replicating
        return len(self._swallowed)

    def __enter__(self) -> Self:
        """Return the proxy."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                self._open.add(client)
                for target, ends in (
                    (self._requests, (client, server)),
                    (self._replies, (server, client)),
                ):
                    threading.Thread(target=target, args=ends, daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError), client, server:
            while data := client.recv(_CHUNK):
                if _REPLICATES in data:
                    self._replicating.add(client)
                if client in self._swallowed:
                    continue
                cut = self._cut
                if cut is not None and cut[0] in data:
                    _break(client)
                    if cut[1]:
                        # Late: the client is back before the server has heard it.
                        time.sleep(_LATE_S)
                        server.sendall(data)
                    # Not only close: the other thread waits on it, and keeps it open.
                    server.shutdown(socket.SHUT_WR)
                    return
                server.sendall(data)
        self._open.discard(client)

    def _replies(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(_CHUNK):
                if client not in self._swallowed:
                    client.sendall(data)


class CuttingProxy(Proxy):
    """A proxy in front of PostgreSQL."""

    def __init__(self, dsn: str) -> None:
        """Listen; ``dsn`` of the proxy leads through it."""
        options = psycopg.conninfo.conninfo_to_dict(dsn)
        super().__init__((str(options["host"]), int(options["port"] or 5432)))
        self.dsn = psycopg.conninfo.make_conninfo(
            dsn, host="127.0.0.1", port=self.port, sslmode="disable"
        )


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
