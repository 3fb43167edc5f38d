"""One listener of a broker, tested before the driver is asked: encryption and login.

A listener takes one protocol: plain text or TLS, with a login or without. The driver
says of a mismatch only that the connection was closed; a bare socket finds out which.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from socket import socket
from typing import Any

from confluent_kafka import KafkaError

from streamlab.connectors import endpoints, tls
from streamlab.connectors.diagnosis import Finding
from streamlab.connectors.endpoints import Endpoint
from streamlab.connectors.kafka import connection, wire
from streamlab.connectors.tls import Trust
from streamlab.errors import Refused

DEFAULT_PORT = 9092
LOOPBACK = ("localhost", "127.", "::1")
WITH_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

Options = Mapping[str, Any]


def listed(options: Options) -> tuple[Endpoint, ...]:
    """Return the entries of ``bootstrap.servers``."""
    entries = options["bootstrap.servers"].split(",")
    return tuple(_endpoint(each) for each in entries if each.strip())


def _endpoint(text: str) -> Endpoint:
    """Return what one entry says.

    A protocol in front of it is left out, as librdkafka takes it from
    ``security.protocol``; an IPv6 address stands in brackets.
    """
    text = text.strip().rpartition("://")[2]
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or (":" in host and not host.startswith("[")):
        host, port = text, str(DEFAULT_PORT)
    return Endpoint(host.strip("[]"), int(port))


def protocol(options: Options) -> str:
    """Return the protocol of the options, in capitals."""
    return str(options.get("security.protocol", "PLAINTEXT")).upper()


def encrypts(options: Options) -> bool:
    """Return whether the options ask for TLS."""
    return protocol(options).endswith("SSL")


def logs_in(options: Options) -> bool:
    """Return whether the options ask for a login."""
    return protocol(options).startswith("SASL")


def mechanism(options: Options) -> str:
    """Return how the options log in; librdkafka's default is GSSAPI."""
    found = options.get("sasl.mechanism") or options.get("sasl.mechanisms")
    return str(found or "GSSAPI").upper()


def verifies(options: Options) -> bool:
    """Return whether the broker's certificate is verified."""
    name = "enable.ssl.certificate.verification"
    return str(options.get(name, "true")).lower() != "false"


def checks_names(options: Options) -> bool:
    """Return whether the certificate must be for the host that was asked for."""
    name = "ssl.endpoint.identification.algorithm"
    return str(options.get(name, "https")).lower() != "none"


def warnings(options: Options) -> dict[str, str]:
    """Return what is dangerous in the options, each with what to do about it."""
    if not encrypts(options):
        return {}
    if not verifies(options):
        what = "certificates are NOT verified: anybody can pose as the broker"
        return {what: 'take "enable.ssl.certificate.verification" out'}
    if not checks_names(options):
        what = "the host names of certificates are NOT checked"
        return {what: 'take "ssl.endpoint.identification.algorithm" out'}
    return {}


def trust(options: Options) -> Trust:
    """Return what the options say of certificates, for a handshake by Python."""
    location = options.get("ssl.ca.location", "")
    authorities = options.get("ssl.ca.pem") or location
    return Trust(
        authorities="" if authorities == "probe" else authorities,
        verify=verifies(options),
        check_name=checks_names(options),
        certificate=options.get("ssl.certificate.location", ""),
        key=options.get("ssl.key.location", ""),
        password=options.get("ssl.key.password"),
        said_by="ssl.ca.pem" if options.get("ssl.ca.pem") else "ssl.ca.location",
    )


def test_encryption(endpoint: Endpoint, options: Options) -> Finding:
    """Test that the listener speaks TLS, or plain text, as the options do.

    Raises:
        Refused: It does not, or its certificate is not to be trusted.
        SettingsError: A file of a certificate cannot be used.
    """
    if not encrypts(options):
        return _test_plain(endpoint)
    try:
        with tls.secured(_opener(endpoint), endpoint.host, trust(options)) as channel:
            wire.ask_versions(channel)
            return _encrypted(channel)
    except tls.NotTls as error:
        raise _no_tls(endpoint) from error
    except (wire.NotKafka, OSError) as error:
        message = f"TLS with {endpoint} works, but no Kafka broker answers there"
        raise Refused(message, hint="is it the right port?") from error
    except tls.ClientRefused:
        if not _shows_otherwise(options):
            raise
        return Finding("a client certificate is demanded; the login shows it")


def check_mechanism(endpoint: Endpoint, options: Options) -> None:
    """Compare how the options log in with what the listener takes.

    Raises:
        Refused: They do not fit.
    """
    wanted = mechanism(options) if logs_in(options) else "PLAIN"
    try:
        with _channel(endpoint, options) as channel:
            said = wire.ask_mechanisms(channel, wanted)
    except (wire.NotKafka, tls.NotTls, tls.ClientRefused, OSError):
        return  # the login itself will tell
    offered = ", ".join(said.offered)
    over = "SSL" if encrypts(options) else "PLAINTEXT"
    if logs_in(options) and said.code == wire.ILLEGAL_SASL_STATE:
        message = f"{endpoint} takes no logins, the profile has one"
        raise Refused(message, hint=f'"security.protocol" = "{over}"')
    if logs_in(options) and said.code == wire.UNSUPPORTED_MECHANISM:
        raise Refused(
            f"the broker does not offer the mechanism {wanted}; it offers {offered}",
            hint='write one of these as "sasl.mechanism"',
        )
    if not logs_in(options) and said.offered:
        raise Refused(
            f"{endpoint} demands a login, the profile has none; it offers {offered}",
            hint=f'"security.protocol" = "SASL_{over}", and "sasl.mechanism"',
        )


def not_let_in(options: Options, heard: KafkaError) -> Refused:
    """Return the error of a login that was refused."""
    by = mechanism(options)
    if by in WITH_PASSWORD:
        return Refused(
            f"the broker does not accept this user name and password by {by}",
            hint="check sasl.username and what sasl.password refers to; each mechanism "
            "has its own users",
        )
    said = connection.without_values(heard.str(), options)
    return Refused(f"the login by {by} fails: {said}")


def _test_plain(endpoint: Endpoint) -> Finding:
    try:
        with endpoints.connected(endpoint) as channel:
            wire.ask_versions(channel)
    except (wire.NotKafka, OSError) as error:
        if tls.speaks_tls(_opener(endpoint), endpoint.host):
            raise Refused(
                f"{endpoint} speaks TLS, the profile plain text",
                hint='"security.protocol" = "SASL_SSL", or "SSL" without a login',
            ) from error
        message = f"something answers at {endpoint}, but it does not speak Kafka"
        raise Refused(message, hint="is it the right port?") from error
    if endpoint.host.startswith(LOOPBACK):
        return Finding("plain text, within this machine")
    return Finding(
        "plain text: events and passwords can be read on the way",
        "ask for a listener with TLS",
        "warn",
    )


def _encrypted(channel: ssl.SSLSocket) -> Finding:
    version, found = channel.version(), tls.peer(channel)
    if found is None:
        return Finding(f"{version}; the certificate is not verified", "", "warn")
    shown = f"{version}; the certificate is {tls.describe(found)}"
    if tls.ends_soon(found):
        return Finding(shown, "it expires soon: have it renewed", "warn")
    return Finding(shown)


def _no_tls(endpoint: Endpoint) -> Refused:
    with contextlib.suppress(wire.NotKafka, OSError):
        with endpoints.connected(endpoint) as channel:
            wire.ask_versions(channel)
        return Refused(
            f"{endpoint} speaks plain text, the profile TLS",
            hint="is there a port with TLS? Else "
            '"security.protocol" = "SASL_PLAINTEXT", or "PLAINTEXT" without a login',
        )
    return Refused(f"{endpoint} does not answer a TLS handshake")


def _shows_otherwise(options: Options) -> bool:
    """Return whether a client certificate is there in a form that Python cannot show.

    It could be written to a file for that; a key on disk is not worth a test.
    """
    return any(
        options.get(f"ssl.{n}") for n in ("certificate.pem", "keystore.location")
    )


@contextlib.contextmanager
def _channel(endpoint: Endpoint, options: Options) -> Iterator[socket]:
    if encrypts(options):
        with tls.secured(_opener(endpoint), endpoint.host, trust(options)) as channel:
            yield channel
    else:
        with endpoints.connected(endpoint) as plain:
            yield plain


def _opener(endpoint: Endpoint) -> tls.Connect:
    return lambda: endpoints.connected(endpoint)
