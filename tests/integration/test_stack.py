"""The local stack on real servers: what lives, what dies, what stays."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streamlab import stack as local_stack
from streamlab.cli import main
from streamlab.errors import StackError
from streamlab.registry.client import Registry
from streamlab.registry.schemas import Registered
from streamlab.settings import Settings
from streamlab.stack import jars
from streamlab.stack.java import find_java
from streamlab.stack.kafka import Kafka

pytestmark = pytest.mark.integration


def produce(address: str, topic: str, value: bytes = b"event") -> None:
    producer = Producer({"bootstrap.servers": address})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def events(address: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "unused"})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1]
    finally:
        consumer.close()


def our_processes(home: Path) -> list[psutil.Process]:
    """Return all processes that name a folder of the home, found by ourselves."""
    inside = f"{home}/.streamlab/"
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(inside in word for word in process.info["cmdline"] or ())
    ]


def server_pids(home: Path) -> set[int]:
    """Return the main processes of the servers, without the tools they start with."""
    return {
        each.pid
        for each in our_processes(home)
        if Path(each.info["cmdline"][0]).name in {"java", "postgres"}
    }


def test_both_servers_serve(stack, make_topic):
    """A fresh stack takes an event and answers a query."""
    topic = make_topic(partitions=2)
    produce(stack.kafka, topic)
    with psycopg.connect(stack.postgres) as connection:
        row = connection.execute("show wal_level").fetchone()
    assert row == ("logical",)


def test_everything_listens_on_loopback_only(stack):
    """No port of the stack can be reached from another machine."""
    for name in local_stack.STANDARD:
        assert_on_loopback_only(stack.server(name))


def assert_on_loopback_only(server):
    """Compare what a server listens on with its ports on loopback."""
    main_process = server.process()
    listening = [
        connection.laddr
        for process in (main_process, *main_process.children())
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {
        "127.0.0.1"
    }
    assert {address.port for address in listening} == set(server.ports.values())


def test_postgres_wants_the_password(stack):
    """Without the password file the login is refused."""
    without, _ = stack.postgres.split("?")
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(without, passfile="/dev/null")


def test_old_events_stay(stack, make_topic):
    """An event of 2013 is not deleted for its age."""
    topic = make_topic()
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    from confluent_kafka.admin import ConfigResource

    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    settings = admin.describe_configs([resource])[resource].result(10)
    assert settings["retention.ms"].value == "-1"


def test_attaching_takes_nothing_down(stack):
    """Whoever attached to a running stack leaves it running."""
    with local_stack.up(stack.home) as attached:
        assert attached.attached
        assert attached.kafka == stack.kafka
    assert [each.state for each in local_stack.status(stack.home)] == ["running"] * 2


def test_settings_find_the_stack(stack):
    """The profile `local` of the stack's home has both servers."""
    profile = Settings.load(stack.home).profile("local")
    assert profile.kafka == {"bootstrap.servers": stack.kafka}
    assert profile.postgres == {"dsn": stack.postgres}


def test_another_port_than_the_running_one_is_refused(stack):
    """A wish that a running server does not meet is told, not ignored."""
    with pytest.raises(StackError, match="kafka runs already"):
        local_stack.up(stack.home, kafka_port=1)


def test_the_template_is_what_storage_tool_writes(tmp_path):
    """The shipped checkpoint equals the one of Kafka's own formatting."""
    server = Kafka(tmp_path, {"port": 19092, "controller_port": 19093})
    launch = server.prepare(lambda _: None)
    shipped = (tmp_path / "data" / "bootstrap.checkpoint").read_bytes()
    shutil.rmtree(tmp_path / "data")
    (*java, _, settings) = launch.command
    tool = ("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ")
    subprocess.run(
        [*java, *tool, "-c", settings], cwd=tmp_path, check=True, capture_output=True
    )
    written = (tmp_path / "data" / "bootstrap.checkpoint").read_bytes()
    assert records(shipped) == records(written)
    # The comparison can fail: another feature level is another record.
    changed = shipped.replace(b"group.version\x00\x01", b"group.version\x00\x02")
    assert records(changed) != records(shipped)


def records(checkpoint: bytes) -> list[bytes]:
    """Return the records of each batch, without the times and sums around them.

    Source: https://kafka.apache.org/43/implementation/message-format/
    """
    found, start = [], 0
    while start < len(checkpoint):
        length = int.from_bytes(checkpoint[start + 8 : start + 12])
        found.append(checkpoint[start + 57 : start + 12 + length])
        start += 12 + length
    # A snapshot's first control record holds the time it was made at.
    header, *rest = found
    return [header[:4], *rest]


def test_data_and_addresses_survive_down_and_up(own_stack, make_topic):
    """After a stop everything is where it was."""
    first = own_stack()
    topic = make_topic(address=first.kafka)
    produce(first.kafka, topic)
    with psycopg.connect(first.postgres) as connection:
        connection.execute("create table kept as select 42 as answer")
    assert set(local_stack.down(first.home)) == set(local_stack.STANDARD)
    assert our_processes(first.home) == []
    second = local_stack.up(first.home)
    assert (second.kafka, second.postgres) == (first.kafka, first.postgres)
    assert events(second.kafka, topic) == 1
    with psycopg.connect(second.postgres) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_a_taken_port_moves_the_server_not_its_data(own_stack, make_topic):
    """When a stranger has the old ports the broker comes back on others."""
    first = own_stack("kafka")
    topic = make_topic(address=first.kafka)
    produce(first.kafka, topic)
    local_stack.down(first.home)
    ports = first.server("kafka").ports
    strangers = [socket.create_server(("127.0.0.1", port)) for port in ports.values()]
    try:
        second = local_stack.up(first.home, servers=["kafka"])
        assert not set(second.server("kafka").ports.values()) & set(ports.values())
        assert events(second.kafka, topic) == 1
    finally:
        for each in strangers:
            each.close()


@pytest.mark.parametrize("name", local_stack.STANDARD)
def test_a_killed_server_is_reported_and_comes_back(own_stack, name):
    """`status` says that a server died; `up` starts it where it was."""
    running = own_stack(name)
    server = running.server(name)
    server.kill()
    died = {each.name: each for each in local_stack.status(running.home)}[name]
    assert (died.state, died.pid) == ("died", None)
    assert died.log
    again = local_stack.up(running.home, servers=[name])
    assert again.server(name).address == server.address
    assert not again.attached


def test_a_paused_server_goes_on(own_stack):
    """A frozen server answers nothing, and serves again when it is resumed."""
    running = own_stack("postgres")
    server = running.server("postgres")
    with psycopg.connect(running.postgres) as connection:
        server.pause()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(running.postgres, connect_timeout=2)
        server.resume()
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_that_cannot_start_is_reported_with_its_log(own_stack):
    """The error has the last lines of the log, and nothing is left running."""
    running = own_stack("kafka")
    local_stack.down(running.home)
    ids = running.server("kafka").folder / "data" / "meta.properties"
    ids.write_text(ids.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(StackError, match=r"(?s)died while it started.*node id 7"):
        local_stack.up(running.home)
    assert our_processes(running.home) == []


def test_a_lock_file_with_a_strangers_pid_is_no_obstacle(own_stack):
    """After a kill and a reused pid PostgreSQL starts all the same."""
    running = own_stack("postgres")
    server = running.server("postgres")
    lock = server.folder / "data" / "postmaster.pid"
    content = lock.read_text().splitlines()
    server.kill()
    with subprocess.Popen(["sleep", "60"], user=_owner(server)) as stranger:
        try:
            lock.write_text("\n".join([str(stranger.pid), *content[1:]]) + "\n")
            server.start()
            assert psutil.pid_exists(stranger.pid)
        finally:
            stranger.kill()
    with psycopg.connect(running.postgres) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def _owner(server):
    return (server.folder / "data").stat().st_uid


def test_two_ups_at_once_start_one_stack(temporary_home):
    """The second waits for the first and attaches."""
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: up(temporary_home).wait(60), range(2)))
    assert both == [0, 0]
    names = sorted(each.name() for each in our_processes(temporary_home))
    assert names == ["java", "postgres"]


def test_nothing_outlives_down_after_up_was_killed(temporary_home):
    """`up` killed in the middle leaves servers that `down` finds and stops."""
    command = up(temporary_home)
    give_up = time.monotonic() + 30
    while len(server_pids(temporary_home)) < 2:
        assert time.monotonic() < give_up
        time.sleep(0.01)
    command.send_signal(signal.SIGKILL)
    command.wait(10)
    assert our_processes(temporary_home)
    assert local_stack.down(temporary_home)
    assert our_processes(temporary_home) == []


def test_an_up_after_a_killed_one_attaches(temporary_home):
    """What a killed `up` had started serves the next one."""
    command = up(temporary_home)
    while not (left := server_pids(temporary_home)):
        time.sleep(0.01)
    command.kill()
    command.wait(10)
    assert not local_stack.up(temporary_home).attached
    assert left <= server_pids(temporary_home)


def test_an_interrupted_up_stops_what_it_started(temporary_home):
    """Ctrl-C while the servers start leaves none of them."""
    command = up(temporary_home)
    while not server_pids(temporary_home):
        time.sleep(0.01)
    command.send_signal(signal.SIGINT)
    assert command.wait(30) == 130
    assert our_processes(temporary_home) == []


def up(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamlab.cli", "up"],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_the_commands_tell_how_it_stands(own_stack, monkeypatch, capsys):
    """`status` and `down` work on the stack of the folder they are called in."""
    running = own_stack("postgres")
    monkeypatch.chdir(running.home)
    assert main(["status"]) == 1
    said = capsys.readouterr().out
    assert re.search(r"kafka +stopped", said)
    assert re.search(rf"postgres +running .*{running.server('postgres').port}", said)
    assert main(["down"]) == 0
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "stopped: postgres\nnothing was running\n"


def test_java_and_jars_are_there_for_all(stack):
    """The broker runs on the found Java, from the user's cache."""
    command = stack.server("kafka").process().cmdline()
    assert command[0] == str(find_java())
    assert command[command.index("-cp") + 1].startswith(str(jars.cache_folder()))


def test_the_registry_starts_on_request_and_keeps_its_schemas(temporary_home):
    """It is no part of a plain `up`; after a restart its schemas are still there."""
    with local_stack.up(temporary_home, servers=["registry"]) as running:
        registry = Registry(running.registry)
        number = registry.register("a", Registered(0, "AVRO", '"int"'))
        assert [one.state for one in local_stack.status(running.home)] == [
            *("stopped", "stopped", "running")
        ]
        server = running.server("registry")
        assert_on_loopback_only(server)
        server.stop()
        server.start()
        assert Registry(running.registry).schema(number).text == '"int"'
    assert len(local_stack.status(temporary_home)) == 2
