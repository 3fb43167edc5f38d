"""What the two servers are started with, and which processes are theirs."""

from __future__ import annotations

import stat

import pytest

from streamlab import stack
from streamlab.errors import StackError
from streamlab.stack import account
from streamlab.stack.kafka import Kafka
from streamlab.stack.postgres import Postgres
from streamlab.stack.processes import Launch
from streamlab.stack.record import Record
from streamlab.stack.registry import SchemaRegistry


@pytest.fixture
def kafka(tmp_path):
    """Describe a broker; nothing is started."""
    return Kafka(tmp_path / "kafka", {"port": 1, "controller_port": 2})


@pytest.fixture
def postgres(tmp_path):
    """Describe a PostgreSQL; nothing is started."""
    return Postgres(tmp_path / "postgres", {"port": 3})


def test_an_editor_with_the_settings_open_is_not_the_broker(kafka):
    """Only Java with the broker's class and our settings file is ours."""
    settings = str(kafka.folder / "server.properties")
    assert kafka.is_own(["/x/java", "-cp", "y", "kafka.Kafka", settings])
    assert not kafka.is_own(["vim", settings])
    assert not kafka.is_own(["sh", "-c", "…", "java", "kafka.Kafka", settings])
    assert not kafka.is_own(["/x/java", "kafka.Kafka", "/other/server.properties"])


def test_a_tool_on_the_data_folder_is_not_postgres(postgres):
    """Only the main process on our data is ours."""
    data = str(postgres.folder / "data")
    assert postgres.is_own(["/x/postgres", "-D", data, "--port=3"])
    assert not postgres.is_own(["/x/pg_ctl", "-D", data, "start"])
    assert not postgres.is_own(["postgres: checkpointer"])
    assert not postgres.is_own(["/x/postgres", "-D", "/other/data"])


def test_a_tool_on_the_data_is_not_the_registry(tmp_path):
    """Only Java with our data is ours; the URL is the one of Confluent's protocol."""
    registry = SchemaRegistry(tmp_path / "registry", {"port": 4})
    data = f"-Dapicurio.datasource.url=jdbc:h2:file:{tmp_path}/registry/data/registry"
    assert registry.is_own(["/x/java", "-Xmx256m", data, "-jar", "y.jar"])
    assert not registry.is_own(["sh", "-c", "…", data])
    assert not registry.is_own(["/x/java", "-jar", "y.jar"])
    assert registry.access["url"] == "http://127.0.0.1:4/apis/ccompat/v7"


def test_the_dsn_has_no_password(tmp_path):
    """The DSN names the password file, with any character of its path quoted."""
    server = Postgres(tmp_path / "a b&c", {"port": 3})
    assert server.access["dsn"].endswith("/a%20b%26c/pgpass")
    assert ":3/postgres?passfile=/" in server.access["dsn"]


def test_a_program_that_ends_at_once_is_reported(kafka, monkeypatch):
    """A start that fails before anybody could look is told with its log."""
    launch = Launch(("no-such-program",), folder=kafka.folder, log=kafka.log)
    monkeypatch.setattr(kafka, "prepare", lambda _: launch)
    with pytest.raises(StackError, match=r"(?s)kafka died .*no-such-program"):
        kafka.wait(kafka.launch())


def test_the_record_is_for_its_owner_only(tmp_path):
    """Others cannot read where the servers are, and what was saved is loaded."""
    (tmp_path / ".streamlab").mkdir()
    record = Record().with_ports("kafka", {"port": 1}).with_server("kafka", {"pid": 2})
    record.save(tmp_path)
    path = tmp_path / ".streamlab" / "stack.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Record.load(tmp_path) == record
    assert Record.load(tmp_path).without_server("kafka").servers == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"servers": 1}'])
def test_a_damaged_record_is_an_empty_one(tmp_path, text):
    """A record that was lost is no reason to fail: servers are found without it."""
    path = tmp_path / ".streamlab" / "stack.json"
    path.parent.mkdir()
    path.write_text(text)
    assert Record.load(tmp_path) == Record()


def test_parents_are_opened_for_passing_only(tmp_path):
    """Another user may pass the parents of the data, and still not list them."""
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    account.let_pass(parent / "data", "somebody")
    assert stat.S_IMODE(parent.stat().st_mode) == 0o701


def test_programs_are_opened_for_reading_only(tmp_path):
    """Another user may read and run what its owner may, and change nothing."""
    folder = tmp_path / "bin"
    folder.mkdir(mode=0o700)
    modes = {"program": (0o700, 0o705), "library": (0o600, 0o604)}
    for name, (before, _) in modes.items():
        (folder / name).touch(mode=before)
    account.let_read(folder, "somebody")
    for name, (_, after) in modes.items():
        assert stat.S_IMODE((folder / name).stat().st_mode) == after
    assert stat.S_IMODE(folder.stat().st_mode) == 0o705


def test_an_ordinary_user_changes_no_permissions(tmp_path):
    """Without another user to run as nothing is opened."""
    parent = tmp_path / "private"
    parent.mkdir(mode=0o700)
    account.let_pass(parent / "data", None)
    account.let_read(parent, None)
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    """What the system refuses is told by path, not by a traceback."""
    (tmp_path / ".streamlab").write_text("a file where the folder should be")
    with pytest.raises(StackError, match=r"(?s)cannot be used: .*\.streamlab"):
        stack.up(tmp_path)
