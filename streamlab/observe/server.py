"""The worker's window: status, metrics and health over HTTP, on loopback only.

Nothing here changes anything, so there is no login; but a web page that a user has
open must not read it either, which is why the Host header has to be a loopback name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from streamlab.errors import UsageError
from streamlab.observe.metrics import CONTENT_TYPE, exposition
from streamlab.observe.status import WorkerStatus

LOOPBACK = "127.0.0.1"
_HOSTS = {LOOPBACK, "localhost", "[::1]"}
_HEALTHY = {"starting", "running", "paused", "draining"}


class StatusServer:
    """Serves one worker's status while it is open. Use it in a ``with`` statement."""

    def __init__(self, status: Callable[[], WorkerStatus], port: int = 0) -> None:
        """Bind to loopback.

        Args:
            status: Called for each request.
            port: Port to listen on; a free one if 0.

        Raises:
            UsageError: The port is taken, or is none.
        """
        metrics = exposition(status)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.headers.get("Host", "").rsplit(":", 1)[0]
                if host not in _HOSTS:
                    self._answer(HTTPStatus.FORBIDDEN, "text/plain", b"")
                elif self.path == "/status":
                    self._answer(
                        HTTPStatus.OK, "application/json", status().to_json().encode()
                    )
                elif self.path == "/metrics":
                    self._answer(HTTPStatus.OK, CONTENT_TYPE, metrics())
                elif self.path == "/health":
                    now = status()
                    code = (
                        HTTPStatus.OK
                        if now.state in _HEALTHY
                        else HTTPStatus.SERVICE_UNAVAILABLE
                    )
                    self._answer(code, "text/plain", f"{now.state}\n".encode())
                else:
                    self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"")

            def _answer(self, code: HTTPStatus, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name of the overridden method's parameter
                del format, args

        try:
            self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "there is no such port"
            message = f"cannot listen on port {port} of {LOOPBACK}: {reason}"
            raise UsageError(message, hint="without --port a free one is taken") from (
                error
            )
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(
            target=self._server.serve_forever, name="status", daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
