"""The doctor on a broker with TLS, logins and rights: each mistake has its sentence."""

from __future__ import annotations

import logging
import socket
import time
import traceback

import pytest
from confluent_kafka.admin import NewTopic

from streamlab import doctor
from streamlab.cli import main
from streamlab.errors import StreamlabError, UnknownName
from tests.secured_kafka import PASSWORD, USER

pytestmark = pytest.mark.integration


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Return a function that writes the options of the profile ``work``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("WRONG_PASSWORD", f"{PASSWORD}-not")

    def write(options) -> None:
        lines = "".join(f'"{key}" = "{value}"\n' for key, value in options.items())
        text = f"[profiles.work.kafka]\n{lines}"
        (tmp_path / "streamlab.toml").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def topic(secured, topic_name):
    """Return a topic of the secured broker."""
    made = secured.admin.create_topics([NewTopic(topic_name, 2)])
    made[topic_name].result(20)
    return topic_name


def states(found):
    return {step.name: step.state for step in found.steps}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_good_profile_passes_every_step(secured, profile, mechanism):
    """With the right login all steps pass, and the cluster says what it is."""
    profile(secured.options(sasl_mechanism=mechanism))
    found = doctor.kafka("work")
    assert states(found) == dict.fromkeys(
        ["settings", "name", "reach", "TLS", "login", "brokers"], "ok"
    )
    assert found.steps[-1].what == secured.at("SASL")
    assert set(found.facts) == {"cluster", "topics"}


def test_a_client_certificate_is_a_login(secured, profile):
    """Mutual TLS passes; the certificate is named by files."""
    profile(mutual(secured))
    assert doctor.kafka("work").ok


def test_certificates_as_text_are_shown_too(secured, profile, monkeypatch):
    """A key that is a reference is never written to a file, and works."""
    monkeypatch.setenv("KEY", (secured.folder / "client.key").read_text())
    monkeypatch.setenv("CERTIFICATE", (secured.folder / "client.pem").read_text())
    options = {
        **mutual(secured),
        "ssl.certificate.pem": "${env:CERTIFICATE}",
        "ssl.key.pem": "${env:KEY}",
    }
    del options["ssl.certificate.location"], options["ssl.key.location"]
    profile(options)
    assert doctor.kafka("work").ok


def mutual(secured):
    return {
        "bootstrap.servers": secured.at("MUTUAL"),
        "security.protocol": "SSL",
        "ssl.ca.location": str(secured.folder / "ca.pem"),
        "ssl.certificate.location": str(secured.folder / "client.pem"),
        "ssl.key.location": str(secured.folder / "client.key"),
    }


MISTAKES = {
    "an authority that is not trusted": (
        ("SASL", {"ssl_ca_location": "{folder}/stranger.pem"}),
        "TLS",
        "signed by an authority that the file of ssl.ca.location does not have",
    ),
    "no such file": (
        ("SASL", {"ssl_ca_location": "{folder}/nothing.pem"}),
        "settings",
        "ssl.ca.location cannot be read: No such file",
    ),
    "a file that is no certificate": (
        ("SASL", {"ssl_ca_location": "{folder}/server.properties"}),
        "settings",
        "ssl.ca.location cannot be used",
    ),
    "an expired certificate": (("EXPIRED", {}), "TLS", "expired on "),
    "another host's certificate": (
        ("OTHER", {}),
        "TLS",
        "shows a certificate that is for broker.example",
    ),
    "plain text to TLS": (
        ("SASL", {"security_protocol": "SASL_PLAINTEXT"}),
        "TLS",
        "speaks TLS, the profile plain text",
    ),
    "TLS to plain text": (
        ("OPEN", {"security_protocol": "SASL_SSL"}),
        "TLS",
        "speaks plain text, the profile TLS",
    ),
    "no client certificate": (
        ("MUTUAL", {}),
        "TLS",
        "demands a client certificate, and the profile has none",
    ),
    "a wrong password": (
        ("SASL", {"sasl_password": "${{env:WRONG_PASSWORD}}"}),
        "login",
        "does not accept this user name and password by SCRAM-SHA-512",
    ),
    "a wrong password, PLAIN": (
        (
            "SASL",
            {"sasl_password": "${{env:WRONG_PASSWORD}}", "sasl_mechanism": "PLAIN"},
        ),
        "login",
        "does not accept this user name and password by PLAIN",
    ),
    "a mechanism that is not offered": (
        ("SASL", {"sasl_mechanism": "SCRAM-SHA-256"}),
        "login",
        "does not offer the mechanism SCRAM-SHA-256; it offers PLAIN, SCRAM-SHA-512",
    ),
    "a mechanism that nobody knows": (
        ("SASL", {"sasl_mechanism": "CRAM"}),
        "settings",
        "Kafka does not take an option",
    ),
    "no login where one is demanded": (
        ("SASL", {"security_protocol": "SSL"}),
        "login",
        "demands a login, the profile has none",
    ),
    "a login where none is taken": (
        ("MUTUAL", {"security_protocol": "SASL_SSL"}),
        "TLS",
        "demands a client certificate",
    ),
    "an advertised host that is not there": (
        ("AWAY", {}),
        "brokers",
        "sends its clients on to broker.invalid:9093",
    ),
    "a host that is not there": (
        ("SASL", {"bootstrap_servers": "broker.invalid:9093"}),
        "name",
        "the name broker.invalid does not resolve",
    ),
    "a variable that is not set": (
        ("SASL", {"sasl_password": "${{env:NOT_SET_ANYWHERE}}"}),
        "settings",
        "NOT_SET_ANYWHERE is not set",
    ),
    "a password where a protocol should be": (
        ("SASL", {"security_protocol": "${{env:KAFKA_PASSWORD}}"}),
        "settings",
        'Invalid value "…" for configuration property "security.protocol"',
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_its_own_sentence(secured, profile, name):
    """The step that fails is named, with the reason; those behind it are skipped."""
    (listener, changed), step, said = MISTAKES[name]
    changed = {
        key: value.format(folder=secured.folder) for key, value in changed.items()
    }
    profile(secured.options(listener, **changed))
    found = doctor.kafka("work")
    assert found.failed is not None
    assert (found.failed.name, said in found.failed.what) == (step, True), str(found)
    place = [each.name for each in found.steps].index(step)
    assert {each.state for each in found.steps[place + 1 :]} <= {"skipped"}
    assert PASSWORD not in str(found) + repr(found)


def test_a_plain_listener_without_logins_is_told(secured, profile):
    """A login on a listener that takes none is not a wrong password."""
    options = secured.options("OPEN") | {"bootstrap.servers": secured.server.address}
    profile(options)
    failed = doctor.kafka("work").failed
    assert failed is not None
    assert "takes no logins" in failed.what


def test_verification_that_is_off_is_shown(secured, profile):
    """It works, and the step says what it means."""
    profile(secured.options("EXPIRED", enable_ssl_certificate_verification="false"))
    found = doctor.kafka("work")
    assert found.ok
    assert states(found)["settings"] == states(found)["TLS"] == "warn"
    assert "NOT verified" in found.steps[0].what


def test_a_password_in_the_file_is_warned_of(secured, profile):
    """The option is named, its value is not."""
    profile(secured.options(sasl_password=PASSWORD))
    found = doctor.kafka("work")
    assert found.steps[0].state == "warn"
    assert "kafka.sasl.password" in found.steps[0].what
    assert PASSWORD not in str(found)


def test_rights_are_told_one_by_one(secured, profile, topic):
    """A missing right is named with the command that gives it; others still pass."""
    user = secured.user(("READ", "topic", topic))
    profile(secured.options(sasl_username=user))
    found = doctor.kafka("work", topic=topic, group="streamlab.x", write=topic)
    told = states(found)
    assert told[f"DESCRIBE topic {topic}"] == told[f"READ topic {topic}"] == "ok"
    assert told["READ group streamlab.x"] == told[f"WRITE topic {topic}"] == "failed"
    hint = next(
        each.hint for each in found.steps if each.name.startswith("WRITE topic")
    )
    assert f"--allow-principal User:{user} --operation WRITE --topic {topic}" in hint


def test_rights_that_are_there_pass(secured, profile, topic):
    """What the administrator gives after the hints is seen."""
    user = secured.user(
        ("READ", "topic", topic),
        ("WRITE", "topic", topic),
        ("DESCRIBE_CONFIGS", "topic", topic),
        ("READ", "group", "streamlab.y"),
    )
    profile(secured.options(sasl_username=user))
    found = doctor.kafka("work", topic=topic, group="streamlab.y", write=topic)
    assert found.ok, str(found)


def test_a_user_without_rights_sees_no_topic(secured, profile, topic):
    """DESCRIBE is named before READ."""
    profile(secured.options(sasl_username=secured.user()))
    found = doctor.kafka("work", topic=topic)
    assert found.failed is not None
    assert found.failed.what == f"DESCRIBE on topic {topic!r} is missing"


def test_a_topic_that_is_not_there_has_near_names(secured, profile, topic):
    """Who may see all topics is told of a mistyped one as such."""
    profile({"bootstrap.servers": secured.server.address})
    failed = doctor.kafka("work", topic=topic + "x").failed
    assert failed is not None
    assert f"did you mean {topic!r}" in failed.hint


def test_nothing_is_left_behind(secured, profile, topic):
    """Groups, topics and offsets of the broker are as they were."""
    profile(secured.options(sasl_username=secured.user(("READ", "topic", topic))))
    before = traces(secured)
    doctor.kafka("work", topic=topic, write=topic)
    assert traces(secured) == before


def traces(secured):
    groups = secured.admin.list_consumer_groups().result(20).valid
    topics = secured.admin.list_topics(timeout=20).topics
    return sorted(group.group_id for group in groups), sorted(topics)


def test_a_host_that_never_answers_takes_bounded_time(profile):
    """A listener that accepts and says nothing is told within 20 s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        profile({"bootstrap.servers": f"{host}:{port}", "security.protocol": "SSL"})
        started = time.monotonic()
        failed = doctor.kafka("work").failed
    assert failed is not None
    assert failed.what == f"{host}:{port} does not answer a TLS handshake"
    assert time.monotonic() - started < 20


def test_the_command_prints_the_steps(secured, profile, topic, capsys):
    """Exit code 1 where one failed, with a mark in front of each."""
    profile(secured.options(sasl_username=secured.user()))
    assert main(["doctor", "kafka", "--profile", "work", "--topic", topic]) == 1
    printed = capsys.readouterr().out
    assert "✓ login" in printed
    assert f"✗ READ topic {topic}" in printed
    assert main(["doctor", "kafka", "--profile", "work"]) == 0


def test_an_unknown_profile_is_no_step(profile):
    """A mistyped profile is told with near names."""
    profile({"bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(UnknownName, match="did you mean 'work'"):
        doctor.kafka("wrok")


def test_no_error_and_no_log_tells_a_password(secured, profile, caplog):
    """A canary through the client's own messages: option, login, log."""
    caplog.set_level(logging.DEBUG)
    told = []
    for changed in (
        {"sasl_password": "${env:WRONG_PASSWORD}"},
        {"security_protocol": "${env:KAFKA_PASSWORD}"},
        {"sasl_mechanism": "${env:KAFKA_PASSWORD}"},
        {"ssl_ca_location": "${env:KAFKA_PASSWORD}"},
        {"socket_timeout_ms": "${env:KAFKA_PASSWORD}"},
        {"client_id": "x", "ssl_key_pem": "${env:KAFKA_PASSWORD}"},
        {"ssl_endpoint_identification_algorithm": "${env:KAFKA_PASSWORD}"},
    ):
        profile(secured.options(**changed))
        found = doctor.kafka("work")
        told += [str(found), repr(found)]
        try:
            found.raise_failed()
        except StreamlabError:
            told.append(traceback.format_exc())
    told += [record.getMessage() for record in caplog.records]
    assert any(USER in each or "SASL" in each for each in told)
    assert not [each for each in told if PASSWORD in each]
