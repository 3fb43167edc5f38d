"""Turns at a consumer: nobody starves, and a callback makes the calls of others."""

from __future__ import annotations

import threading
import time

import pytest

from streamlab.connectors.kafka.turns import Turns

SLICE_S = 0.02
PATIENCE_S = 10


def in_thread(call):
    answers: list[object] = []

    def run() -> None:
        try:
            answers.append(call())
        except ValueError as error:
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, answers


def test_a_commit_gets_its_turn_between_two_reads():
    """A reader that reads without a pause does not shut out a commit."""
    turns = Turns()
    stop = threading.Event()

    def read_on() -> None:
        while not stop.is_set():
            turns.read(lambda: time.sleep(SLICE_S))

    reading, _ = in_thread(read_on)
    began = time.monotonic()
    for _ in range(10):
        assert turns.commit(lambda: "done") == "done"
    took_s = time.monotonic() - began
    stop.set()
    reading.join(PATIENCE_S)
    assert took_s < 10 * SLICE_S * 10


def test_one_thread_is_in_at_a_time():
    """Two calls never overlap, whoever makes them."""
    turns = Turns()
    inside: list[int] = []
    overlaps: list[int] = []

    def call() -> None:
        inside.append(1)
        time.sleep(0.001)
        if len(inside) > 1:
            overlaps.append(1)
        inside.pop()

    threads = [
        in_thread(lambda way=way: [way(call) for _ in range(20)])[0]
        for way in (turns.read, turns.commit, turns.commit)
    ]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not overlaps


def test_a_callback_makes_the_commit_that_another_thread_needs():
    """While lending, commits run in the lending thread, before lend returns."""
    turns = Turns()
    made_by: list[str] = []

    def commit() -> None:
        turns.commit(lambda: made_by.append(threading.current_thread().name))

    def callback() -> None:
        turns.lend(commit)

    turns.read(callback)
    assert made_by == [threading.current_thread().name]


def test_a_commit_that_waited_already_is_made_by_the_callback():
    """A thread that waits for its turn when the callback begins is served too."""
    turns = Turns()
    entered = threading.Event()

    def work() -> None:
        waiting.join(PATIENCE_S)
        assert answers == ["committed"]

    def callback() -> None:
        entered.set()
        time.sleep(SLICE_S)
        turns.lend(work)

    waiting, answers = in_thread(
        lambda: entered.wait(PATIENCE_S) and turns.commit(lambda: "committed")
    )
    turns.read(callback)


def test_errors_reach_whom_they_concern():
    """A call's error goes to its caller; the work's error to the lender."""
    turns = Turns()

    def fail() -> None:
        message = "no"
        raise ValueError(message)

    with pytest.raises(ValueError, match="no"):
        turns.commit(fail)
    with pytest.raises(ValueError, match="no"):
        turns.read(lambda: turns.lend(lambda: turns.commit(fail)))
    assert turns.commit(lambda: 1) == 1
