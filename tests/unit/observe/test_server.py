"""A worker's status over HTTP, in Prometheus' words, and in logs."""

from __future__ import annotations

import http.client
import json
import logging
import re
from collections.abc import Iterator

import pytest

from streamlab.errors import Unavailable, UsageError
from streamlab.observe.logs import JsonLines
from streamlab.observe.metrics import exposition
from streamlab.observe.server import StatusServer
from streamlab.observe.status import WorkerStatus

STATUS = WorkerStatus(
    pipeline="delays",
    worker="delays-1",
    pid=7,
    state="running",
    at_ms=1,
    counts={"read": 10, "rows_out": 4, "epochs": 2, "retries": 0, "rebalances": 1},
    partitions={"flights/0": {"read": 10, "dead_lettered": 3}},
    lag={"flights/0": 5},
    stage_ms={"decode": 2.5},
    latency_ms={"broker_p50": 12.0},
    tasks={
        "*": {
            "watermark_us": 60_000_000,
            "ended": False,
            "watermarks_us": {"flights/0": 61_000_000},
            "idle": ["flights/1"],
            "idled": 1,
            "held": {"hourly": 12},
            "state_bytes": 4096,
        }
    },
)


@pytest.fixture
def server() -> Iterator[StatusServer]:
    with StatusServer(lambda: STATUS) as opened:
        yield opened


def get(server: StatusServer, path: str, host: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_the_status_comes_back_as_it_was(server: StatusServer) -> None:
    """A status survives its way through JSON."""
    code, body = get(server, "/status")
    assert code == 200
    assert WorkerStatus.from_json(body) == STATUS


def test_metrics_have_the_numbers_of_the_status(server: StatusServer) -> None:
    """Counters, lag and latency are there with their labels."""
    text = get(server, "/metrics")[1].decode()
    partition = 'partition="flights/0",pipeline="delays"'
    assert _value(text, "streamlab_rows_out_total", 'pipeline="delays"') == 4
    assert _value(text, "streamlab_events_read_total", partition) == 10
    assert _value(text, "streamlab_events_dead_lettered_total", partition) == 3
    assert _value(text, "streamlab_lag_events", partition) == 5
    assert 'streamlab_state{pipeline="delays",state="running"} 1.0' in text


@pytest.mark.parametrize(
    ("state", "code"), [("running", 200), ("paused", 200), ("failed", 503)]
)
def test_health_is_a_status_code(state: str, code: int) -> None:
    """A failed worker is unhealthy; one that waits for a server is not."""
    status = WorkerStatus("delays", "w", 7, state, 1)
    with StatusServer(lambda: status) as opened:
        assert get(opened, "/health") == (code, f"{state}\n".encode())


def test_a_foreign_host_name_is_refused(server: StatusServer) -> None:
    """A web page that points its own name at loopback gets nothing."""
    assert get(server, "/status", host="evil.example") == (403, b"")


def test_only_loopback_listens(server: StatusServer) -> None:
    """The socket is bound to 127.0.0.1."""
    assert server._server.server_address[0] == "127.0.0.1"


def test_an_unknown_path_is_not_found(server: StatusServer) -> None:
    """There is nothing else to see."""
    assert get(server, "/admin")[0] == 404


def test_a_label_with_a_quote_is_escaped() -> None:
    """A topic's name cannot break the exposition."""
    status = WorkerStatus("p", "w", 7, "running", 1, lag={'a"b\n/0': 1})
    assert 'partition="a\\"b\\n/0"' in exposition(lambda: status)().decode()


def test_a_log_line_is_json_without_our_tracebacks() -> None:
    """An error of ours is its message and its data; the driver's text is not there."""
    error = Unavailable("the server is down", after_s=2)
    error.__cause__ = ValueError("S3cr3tPw")
    raised = (Unavailable, error, None)
    record = logging.getLogger("x").makeRecord(
        "streamlab", logging.ERROR, "f", 1, "stopped", (), raised
    )
    line = JsonLines().format(record)
    assert json.loads(line)["error"] == "Unavailable"
    assert json.loads(line)["after_s"] == "2"
    assert "S3cr3tPw" not in line


def _value(text: str, name: str, labels: str) -> float:
    found = re.search(rf"^{name}{{{re.escape(labels)}}} (\S+)$", text, re.MULTILINE)
    assert found, f"{name}{{{labels}}} is not in\n{text}"
    return float(found[1])


@pytest.mark.parametrize("port", ["taken", "too large"])
def test_a_port_that_cannot_be_had_is_a_readable_error(
    server: StatusServer, port: str
) -> None:
    """A wrong --port is the user's mistake, and told as one."""
    number = server.port if port == "taken" else 99_999_999
    with pytest.raises(UsageError, match=f"cannot listen on port {number}"):
        StatusServer(lambda: STATUS, number)


def test_tasks_with_state_have_metrics_of_their_own() -> None:
    """Event time in seconds, of the task and of each partition; rows and size."""
    text = exposition(lambda: STATUS)().decode()
    assert 'partition="flights/0",pipeline="delays",task="*"} 61.0' in text
    for line in (
        'streamlab_watermark_seconds{partition="",pipeline="delays",task="*"} 60.0',
        'streamlab_idle_partitions{pipeline="delays",task="*"} 1.0',
        'streamlab_held_rows{operator="hourly",pipeline="delays",task="*"} 12.0',
        'streamlab_state_bytes{pipeline="delays",task="*"} 4096.0',
    ):
        assert line in text
