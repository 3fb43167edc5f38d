"""Kafka options from a profile: checked, resolved late, without a secret told."""

from __future__ import annotations

import traceback

import pytest

from streamlab.connectors.kafka import connection
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.errors import SettingsError, UsageError

SECRET = "S3cr3tPw"


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Return a function that writes the options of the default profile."""
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)

    def write(**options: str) -> None:
        lines = "".join(f'"{key}" = "{value}"\n' for key, value in options.items())
        (tmp_path / "streamlab.toml").write_text(f"[profiles.local.kafka]\n{lines}")

    return write


def test_references_are_resolved_on_connecting(profile, monkeypatch):
    """A password is read from the environment when a client is made."""
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    profile(**{"bootstrap.servers": "b:1", "sasl.password": "${env:KAFKA_PASSWORD}"})
    assert connection.client_options()["sasl.password"] == SECRET


@pytest.mark.parametrize(
    "name",
    ["plugin.library.paths", "ssl.engine.location", "debug", "oauth_cb", "error_cb"],
)
def test_options_that_run_code_are_denied(profile, name):
    """A settings file or a package cannot make the client load code."""
    profile(**{"bootstrap.servers": "b:1", name: "x"})
    with pytest.raises(SettingsError, match=name):
        connection.client_options()
    profile(**{"bootstrap.servers": "b:1"})
    with pytest.raises(SettingsError, match=name):
        connection.client_options(extra={name: "x"})


SECURITY = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "OAUTHBEARER",
    "sasl.username": "me",
    "sasl.password": "x",
    "sasl.oauthbearer.method": "oidc",
    "sasl.oauthbearer.client.id": "x",
    "sasl.oauthbearer.client.secret": "x",
    "sasl.oauthbearer.scope": "x",
    "sasl.oauthbearer.extensions": "a=b",
    "sasl.oauthbearer.token.endpoint.url": "https://login.example/token",
    "sasl.kerberos.service.name": "kafka",
    "sasl.kerberos.principal": "me",
    "sasl.kerberos.keytab": "/etc/me.keytab",
    "ssl.ca.location": "probe",
    "ssl.ca.pem": "x",
    "ssl.certificate.location": "/no/client.pem",
    "ssl.certificate.pem": "x",
    "ssl.key.location": "/no/client.key",
    "ssl.key.pem": "x",
    "ssl.key.password": "x",
    "ssl.keystore.location": "/no/client.p12",
    "ssl.keystore.password": "x",
    "ssl.crl.location": "/no/list.pem",
    "ssl.cipher.suites": "x",
    "ssl.endpoint.identification.algorithm": "none",
    "enable.ssl.certificate.verification": "false",
}


@pytest.mark.parametrize("name", SECURITY)
def test_options_of_security_pass_unchanged(profile, name):
    """What a company's Kafka asks for is librdkafka's business."""
    profile(**{"bootstrap.servers": "b:1", name: SECURITY[name]})
    assert connection.client_options()[name] == SECURITY[name]
    assert connection._is_connection(name)


def test_a_certificate_is_found_from_a_subfolder(profile, tmp_path, monkeypatch):
    """A relative path counts from the folder of the settings file."""
    profile(**{"bootstrap.servers": "b:1", "ssl.ca.location": "ca.pem"})
    (tmp_path / "ca.pem").write_text("x")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert connection.client_options()["ssl.ca.location"] == str(tmp_path / "ca.pem")


def test_a_value_in_a_message_of_the_client_is_hidden():
    """Also one that stands in the wrong place, and one that is short."""
    options = {"a.b": SECRET, "c.d": "x1", "bootstrap.servers": "host:9092"}
    text = f'Invalid value "{SECRET}" or "x1" of {SECRET}: host:9092'
    hidden = 'Invalid value "…" or "…" of …: host:9092'
    assert connection.without_values(text, options) == hidden


def test_words_that_explain_stay():
    """A mechanism is no secret, and its name is the message."""
    options = {"sasl.mechanism": "GSSAPI"}
    text = "No provider for SASL mechanism GSSAPI"
    assert connection.without_values(text, options) == text


@pytest.mark.parametrize("name", ["enable.auto.commit", "acks", "group.id"])
def test_options_that_guarantees_need_are_denied(profile, name):
    """What a guarantee rests on cannot be switched off."""
    profile(**{"bootstrap.servers": "b:1", name: "x"})
    with pytest.raises(SettingsError, match=name) as caught:
        connection.client_options()
    assert caught.value.hint


def test_a_profile_without_a_broker_says_what_to_write(profile):
    """The hint is the line that is missing."""
    profile(**{"client.id": "x"})
    with pytest.raises(SettingsError) as caught:
        connection.client_options()
    assert "bootstrap.servers" in caught.value.hint


def test_an_option_that_kafka_does_not_know_is_named(profile):
    """A mistyped option is one clear error, without the password beside it."""
    options = {"bootstrap.servers": "b:1", "sasl.password": SECRET, "fetch.mim": "1"}
    with pytest.raises(SettingsError, match=r"fetch\.mim") as caught:
        connection.consumer({**options, "group.id": "g"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["security.protocol", "sasl.mechanism", "socket.timeout.ms", "ssl.key.pem"],
)
def test_a_refused_value_is_not_told(name):
    """Not in the error, nor in what a traceback would print of its cause."""
    options = {"bootstrap.servers": "b:1", "security.protocol": "SASL_SSL"} | {
        "sasl.mechanism": "PLAIN",
        "sasl.username": "me",
        "sasl.password": "x",
        name: SECRET,
    }
    with pytest.raises(SettingsError) as caught:
        connection.consumer({**options, "group.id": "g"})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_options_are_not_in_the_repr_of_a_source():
    """A password written into a pipeline by hand is not shown."""
    assert SECRET not in repr(KafkaSource("t", options={"sasl.password": SECRET}))


def test_a_topic_without_a_name_is_refused():
    """An empty name is told before the client takes it for a programming error."""
    with pytest.raises(UsageError, match="needs a name"):
        KafkaSource("")


def test_a_start_that_is_none_is_refused():
    """`start` is earliest, latest or a time."""
    KafkaSource("t", start="2013-01-01")
    with pytest.raises(UsageError, match="erliest"):
        KafkaSource("t", start="erliest")
