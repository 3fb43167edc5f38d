"""The workers of this machine: who is announced, who answers, who is gone."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from streamlab.errors import Unavailable, UnknownName
from streamlab.observe.status import WorkerStatus
from streamlab.observe.workers import Worker, announced, status, workers


@contextmanager
def answering(told: WorkerStatus, code: int = HTTPStatus.OK):
    """Serve a status on loopback, and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.end_headers()
            self.wfile.write(told.to_json().encode())

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(pid):
    return WorkerStatus("delays", "delays-1", pid, "running", 0, counts={"read": 3})


def test_an_announced_worker_is_found_until_it_ends(tmp_path):
    """A worker is listed for as long as its announcement lasts."""
    with announced("delays", "delays-1", 4_000, state_folder=tmp_path):
        found = workers(state_folder=tmp_path)
    assert [(w.pipeline, w.worker, w.pid, w.port) for w in found] == [
        ("delays", "delays-1", os.getpid(), 4_000)
    ]
    assert workers(state_folder=tmp_path) == []


def test_a_worker_that_was_killed_is_forgotten(tmp_path):
    """The file that a killed process left is removed at the next look."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = tmp_path / "workers" / f"delays-{gone.pid}.json"
    path.parent.mkdir()
    stale = {"pipeline": "delays", "worker": "w", "pid": gone.pid, "port": 1}
    path.write_text(json.dumps({**stale, "started_ms": 0}))
    assert workers(state_folder=tmp_path) == []
    assert not path.exists()


def test_a_half_written_announcement_is_not_a_worker(tmp_path):
    """A file that is no JSON object is passed over, and left alone."""
    path = tmp_path / "workers" / "delays-1.json"
    path.parent.mkdir()
    path.write_text('{"pipeline": "de')
    assert workers(state_folder=tmp_path) == []
    assert path.exists()


def test_only_the_workers_of_a_pipeline(tmp_path):
    """A name narrows the list."""
    with announced("delays", "delays-1", 1, state_folder=tmp_path):
        assert len(workers("delays", state_folder=tmp_path)) == 1
        assert workers("other", state_folder=tmp_path) == []


def test_a_worker_tells_its_status(tmp_path):
    """The status is what the worker serves on its loopback port."""
    mine = told(os.getpid())
    with (
        answering(mine) as port,
        announced("delays", "delays-1", port, state_folder=tmp_path),
    ):
        assert status("delays", state_folder=tmp_path) == mine


def test_another_process_on_the_port_is_not_believed():
    """A port that was given out again does not speak for the worker."""
    with answering(told(pid=1)) as port:
        worker = Worker("delays", "delays-1", os.getpid(), port, 0)
        with pytest.raises(Unavailable, match="belongs to process 1"):
            status(worker)


def test_a_worker_that_does_not_answer_is_unavailable():
    """Nobody listens: the message names worker and process, without a traceback."""
    with pytest.raises(Unavailable, match="does not answer"):
        status(Worker("delays", "delays-1", os.getpid(), 9, 0))


def test_a_refusal_is_no_open_connection():
    """What answers something else is unavailable, and its connection is closed."""
    with answering(told(os.getpid()), code=HTTPStatus.NOT_FOUND) as port:
        worker = Worker("delays", "delays-1", os.getpid(), port, 0)
        with pytest.raises(Unavailable, match="does not answer") as raised:
            status(worker)
    assert raised.value.__cause__.closed


def test_an_unknown_pipeline_names_those_that_run(tmp_path):
    """Asking for a pipeline without a worker here lists those that have one."""
    with (
        announced("delays", "delays-1", 1, state_folder=tmp_path),
        pytest.raises(UnknownName, match="delays"),
    ):
        status("delay", state_folder=tmp_path)
