"""Choosing ports."""

from __future__ import annotations

import socket

import pytest

from streamlab.errors import StackError
from streamlab.stack import ports

NAMES = ("port", "controller_port")


@pytest.fixture
def taken_port():
    """Hold a port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_free_ports_are_chosen_and_differ():
    """Each name gets a port of its own that can be listened on."""
    chosen = ports.choose(NAMES, 0, {})
    assert list(chosen) == list(NAMES)
    assert len(set(chosen.values())) == 2
    assert all(map(ports.is_free, chosen.values()))


def test_the_ports_of_the_last_start_are_used_again():
    """Addresses stay the same from one start to the next."""
    first = ports.choose(NAMES, 0, {})
    assert ports.choose(NAMES, 0, first) == first


def test_a_remembered_port_that_is_taken_is_replaced(taken_port):
    """A stranger on the old port is no reason to fail."""
    chosen = ports.choose(NAMES, 0, {"port": taken_port, "controller_port": 0})
    assert chosen["port"] != taken_port


def test_the_asked_port_is_the_one_for_clients():
    """A wish is met, also where another port was remembered."""
    wish = ports.choose(NAMES, 0, {})["port"]
    assert ports.choose(NAMES, wish, {"controller_port": wish})["port"] == wish
    assert (
        ports.choose(NAMES, wish, {"controller_port": wish})["controller_port"] != wish
    )


def test_an_asked_port_that_is_taken_is_refused(taken_port):
    """A wish that cannot be met is an error that names the port."""
    with pytest.raises(StackError, match=f"port {taken_port} cannot be used"):
        ports.choose(NAMES, taken_port, {})


def test_a_number_that_is_no_port_is_refused():
    """Out of range is told like any other obstacle."""
    with pytest.raises(StackError, match="up to 65535"):
        ports.choose(NAMES, 70_000, {})
