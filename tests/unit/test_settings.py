"""Settings: profiles, references, and mistakes that are pointed at."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from streamlab.errors import SettingsError, UnknownName
from streamlab.settings import (
    FILE_NAME,
    Profile,
    Settings,
    home_of,
    made_state_folder,
    resolved,
)


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch):
    """Keep the developer's own choice of profile out of the tests."""
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)


def write(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text, encoding="utf-8")
    return path


def write_stack(folder: Path) -> None:
    record = folder / ".streamlab" / "stack.json"
    record.parent.mkdir(parents=True)
    servers = {
        "kafka": {"address": "127.0.0.1:1"},
        "postgres": {"dsn": "postgresql://postgres@127.0.0.1:2/postgres"},
        "registry": {"address": "127.0.0.1:3", "url": "http://127.0.0.1:3/api"},
    }
    record.write_text(json.dumps({"servers": servers, "ports": {}}))


def test_a_profile_has_its_options_as_texts(tmp_path):
    """Numbers and bools become what librdkafka takes."""
    write(
        tmp_path,
        """
        [profiles.work.kafka]
        "bootstrap.servers" = "b:1"
        "socket.timeout.ms" = 500
        "socket.keepalive.enable" = true
        [profiles.work.postgres]
        dsn = "${env:DSN}"
        [profiles.work.registry]
        url = "https://r"
        password = "${env:PW}"
        """,
    )
    profile = Settings.load(tmp_path).profile("work")
    assert profile.kafka == {
        "bootstrap.servers": "b:1",
        "socket.timeout.ms": "500",
        "socket.keepalive.enable": "true",
    }
    assert profile.postgres == {"dsn": "${env:DSN}"}
    assert profile.registry == {"url": "https://r", "password": "${env:PW}"}
    assert "${env:PW}" not in repr(profile)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("defalt_profile = 'x'", 1, "did you mean 'default_profile'"),
        ("\n[profile.work.kafka]\n", 2, "did you mean 'profiles'"),
        ("[profiles.work]\n[profiles.work.kafak]\n", 2, "did you mean 'kafka'?"),
        ("[profiles.a.registry]\nuser = 'x'\n", 2, "did you mean 'username'?"),
        ("[profiles.a.postgres]\n# x\nurl = 'x'\n", 3, "there are 'dsn'"),
        ("[profiles.a.registry]\nurrl = 'x'\n", 2, "did you mean 'url'?"),
        (
            '[profiles.a.kafka]\nsasl.mechanism = "PLAIN"\n',
            2,
            'put dotted names in quotes: "sasl.mechanism" = …',
        ),
        (
            "[profiles.a.kafka]\ngroup.protocol = 'x'\n",
            2,
            'put dotted names in quotes: "group.protocol" = …',
        ),
        (
            "[profiles.a.kafka]\n\"a\" = ['x']\n",
            2,
            "must be a text, a number or a bool",
        ),
        ("[profiles]\na = 1\n", 2, "must be a section: [profiles.a]"),
        ("default_profile = 3", 1, "must be a text"),
        ("a = \n", 1, "not valid TOML"),
        ("[profiles.a.kafka\n", 1, "not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path, text, line, said):
    """What streamlab does not know is refused with file, line and near names."""
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as error:
        Settings.load(tmp_path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert said in str(error.value)


def test_the_file_of_a_parent_folder_counts(tmp_path):
    """A notebook in a subfolder has the settings of its project."""
    write(tmp_path, "default_profile = 'work'\n[profiles.work.kafka]\n")
    inner = tmp_path / "notebooks" / "deep"
    inner.mkdir(parents=True)
    settings = Settings.load(inner)
    assert settings.home == tmp_path
    assert settings.profile().name == "work"


def test_the_stack_of_a_parent_folder_counts(tmp_path):
    """A notebook in a subfolder finds the servers of its project without a file."""
    write_stack(tmp_path)
    inner = tmp_path / "notebooks"
    inner.mkdir()
    assert home_of(inner) == tmp_path
    assert Settings.load(inner).profile().kafka == {"bootstrap.servers": "127.0.0.1:1"}


def test_the_file_adds_to_the_local_stack(tmp_path):
    """Options under [profiles.local] lie on top of the running servers'."""
    write_stack(tmp_path)
    write(tmp_path, '[profiles.local.kafka]\n"client.id" = "me"\n')
    local = Settings.load(tmp_path).profile("local")
    assert local.kafka == {"bootstrap.servers": "127.0.0.1:1", "client.id": "me"}
    assert local.postgres["dsn"].startswith("postgresql://")
    assert local.registry == {"url": "http://127.0.0.1:3/api"}


def test_a_stopped_stack_is_no_profile(tmp_path):
    """After `streamlab down` the hint is to start it again, not a refused connect."""
    write_stack(tmp_path)
    record = tmp_path / ".streamlab" / "stack.json"
    record.write_text('{"servers": {}, "ports": {"kafka": {"port": 1}}}')
    with pytest.raises(SettingsError, match="streamlab up"):
        Settings.load(tmp_path).profile()


def test_the_environment_chooses_the_profile(tmp_path, monkeypatch):
    """STREAMLAB_PROFILE wins over the file's default."""
    write(tmp_path, "[profiles.a.kafka]\n[profiles.b.kafka]\n")
    monkeypatch.setenv("STREAMLAB_PROFILE", "b")
    assert Settings.load(tmp_path).profile().name == "b"


def test_an_unknown_profile_has_near_names(tmp_path):
    """A mistyped profile names the ones that were probably meant."""
    write(tmp_path, "[profiles.production.kafka]\n")
    with pytest.raises(UnknownName, match="did you mean 'production'"):
        Settings.load(tmp_path).profile("prodution")


def test_a_profile_shows_no_value():
    """The repr of a profile has the names of its options only."""
    profile = Profile("w", {"sasl.password": "S3cr3tPw"}, {"dsn": "p://u:S3cr3tPw@h"})
    settings = Settings(Path(), {"w": profile})
    assert "sasl.password" in repr(profile)
    assert "S3cr3tPw" not in repr(profile) + str(settings)


def test_a_registry_shows_no_value():
    """Its token is no part of the repr either."""
    profile = Profile("w", registry={"url": "https://r", "token": "S3cr3tPw"})
    assert "token" in repr(profile)
    assert "S3cr3tPw" not in repr(profile)


def test_secrets_that_are_written_out_are_found(tmp_path):
    """Passwords, keys and tokens in the file are named; references are not."""
    write(
        tmp_path,
        """
        [profiles.work.kafka]
        "sasl.username" = "me"
        "sasl.password" = "plain"
        "ssl.key.password" = "${env:KEY}"
        "ssl.key.pem" = "-----BEGIN"
        "sasl.oauthbearer.client.secret" = "plain"
        "sasl.oauthbearer.token.endpoint.url" = "https://login.example"
        [profiles.work.registry]
        token = "plain"
        """,
    )
    assert Settings.load(tmp_path).profile("work").open_secrets == (
        "kafka.sasl.password",
        "kafka.ssl.key.pem",
        "kafka.sasl.oauthbearer.client.secret",
        "registry.token",
    )


def test_references_are_replaced_anywhere_in_a_value(tmp_path, monkeypatch):
    """A value may hold several references among other text."""
    monkeypatch.setenv("HOST_NAME", "db")
    (tmp_path / "password").write_text("pw\n")
    value = "postgresql://u:${file:password}@${env:HOST_NAME}/x"
    assert resolved(value, base=tmp_path) == "postgresql://u:pw@db/x"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("TOKEN=abc", "abc"),
        ("export TOKEN = 'a b'", "a b"),
        ('TOKEN="a=b"', "a=b"),
        ("TOKEN=", ""),
    ],
)
def test_a_missing_variable_comes_from_the_env_file(tmp_path, line, value):
    """.env is read where the environment has no such variable."""
    (tmp_path / ".env").write_text(f"# comment\nnot a variable\n{line}\n")
    assert resolved("${env:TOKEN}", base=tmp_path) == value


def test_the_environment_wins_over_the_env_file(tmp_path, monkeypatch):
    """A variable set for one run is not shadowed by the file."""
    (tmp_path / ".env").write_text("TOKEN=file")
    monkeypatch.setenv("TOKEN", "process")
    assert resolved("${env:TOKEN}", base=tmp_path) == "process"


@pytest.mark.parametrize("reference", ["${env:NOT_SET_ANYWHERE}", "${file:no-such}"])
def test_a_reference_to_nothing_is_named(tmp_path, reference):
    """The error says which reference, and nothing of the value around it."""
    with pytest.raises(SettingsError) as error:
        resolved(f"S3cr3tPw{reference}", base=tmp_path)
    assert reference[6:-1].split(":")[-1] in str(error.value)
    assert "S3cr3tPw" not in str(error.value)


def test_the_env_file_is_never_put_into_the_environment(tmp_path):
    """Reading .env changes nothing for the processes we start."""
    (tmp_path / ".env").write_text("ONLY_IN_THE_FILE=1")
    resolved("${env:ONLY_IN_THE_FILE}", base=tmp_path)
    assert "ONLY_IN_THE_FILE" not in os.environ


def test_git_passes_over_the_state_folder(tmp_path):
    """Whatever the project ignores; a file that is there already stays."""
    folder = made_state_folder(tmp_path / ".streamlab")
    assert (folder / ".gitignore").read_text() == "*\n"
    (folder / ".gitignore").write_text("mine")
    assert (made_state_folder(folder) / ".gitignore").read_text() == "mine"
