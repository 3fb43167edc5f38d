"""Two questions of Kafka's protocol that need no login, asked on a bare socket.

librdkafka reports a failed connection in words only; the answers to these two have
codes. Source: https://kafka.apache.org/protocol.html, the requests ApiVersions (0)
and SaslHandshake (1).
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_API_VERSIONS, _SASL_HANDSHAKE = 18, 17
_CLIENT = b"streamlab-doctor"
_CORRELATION = 0x5EA1
_MOST_BYTES = 100_000

UNSUPPORTED_MECHANISM = 33
ILLEGAL_SASL_STATE = 34
"""A listener without logins answers a handshake for one with this."""


class NotKafka(Exception):
    """What answered, or hung up, does not speak Kafka as it was spoken to."""


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """What a listener says of logins.

    Attributes:
        code: Kafka's error code for the mechanism that was asked for; 0 for none.
        offered: The mechanisms that the listener takes.
    """

    code: int
    offered: tuple[str, ...]


def ask_versions(channel: socket.socket) -> None:
    """Ask which requests the broker knows, to see that it is one.

    Raises:
        NotKafka: It is none, or wants to be spoken to in another way.
        OSError: The connection broke, or the answer did not come in time.
    """
    _ask(channel, _API_VERSIONS, 0, b"")


def ask_mechanisms(channel: socket.socket, wanted: str) -> Mechanisms:
    """Ask whether the listener takes logins by a mechanism.

    Raises:
        NotKafka: It is no broker, or wants to be spoken to in another way.
        OSError: The connection broke, or the answer did not come in time.
    """
    answer = _ask(channel, _SASL_HANDSHAKE, 1, _text(wanted.encode()))
    try:
        code, count = struct.unpack_from(">hi", answer)
        offered, at = [], 6
        for _ in range(count):
            (length,) = struct.unpack_from(">h", answer, at)
            offered.append(answer[at + 2 : at + 2 + length].decode("ascii"))
            at += 2 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise NotKafka from error
    return Mechanisms(code, tuple(offered))


def _ask(channel: socket.socket, api: int, version: int, body: bytes) -> bytes:
    """Send one request and return its answer, behind the correlation id."""
    request = struct.pack(">hhi", api, version, _CORRELATION) + _text(_CLIENT) + body
    channel.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", _receive(channel, 4))
    if not 4 <= length <= _MOST_BYTES:  # noqa: PLR2004 -- the correlation id alone
        raise NotKafka
    answer = _receive(channel, length)
    if struct.unpack_from(">i", answer) != (_CORRELATION,):
        raise NotKafka
    return answer[4:]


def _receive(channel: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = channel.recv(count - len(received))
        if not part:
            raise NotKafka
        received += part
    return received


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value
