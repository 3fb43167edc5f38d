"""A broker as companies run it: TLS, logins, and users with few rights.

It is the stack's own broker with more listeners. The plain one on loopback is its
administrator's; every other user has the rights that a test gives.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives import serialization

from streamlab.stack.kafka import Kafka
from streamlab.stack.server import LOOPBACK

USER, PASSWORD = "reader", "S3cr3tPw"
PATIENCE_S = 20
ITERATIONS = 4096

LISTENERS = {
    "SASL": "SASL_SSL",
    "OPEN": "SASL_PLAINTEXT",
    "MUTUAL": "SSL",
    "EXPIRED": "SASL_SSL",
    "OTHER": "SASL_SSL",
    "AWAY": "SASL_SSL",
}
"""Listener → its protocol. OTHER has the certificate of another host, AWAY tells
clients to go on to a host that does not exist."""

_PROPERTIES = """
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{protocols}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
ssl.keystore.location={folder}/server.pem
listener.name.expired.ssl.keystore.type=PEM
listener.name.expired.ssl.keystore.location={folder}/expired.pem
listener.name.other.ssl.keystore.type=PEM
listener.name.other.ssl.keystore.location={folder}/other.pem
listener.name.mutual.ssl.client.auth=required
"""

_MODULES = "org.apache.kafka.common.security"
_LOGINS = """\
listener.name.{name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.{name}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule \\
  required user_{user}="{password}";
listener.name.{name}.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule \\
  required;
"""


class SecuredKafka(Kafka):
    """The stack's broker with listeners that ask who comes."""

    port_names: ClassVar[tuple[str, ...]] = (*Kafka.port_names, *LISTENERS)

    def properties(self) -> str:
        """Return the broker's settings; its certificates lie in its folder."""
        hosts = {name: f"{LOOPBACK}:{self.ports[name]}" for name in LISTENERS}
        advertised = {**hosts, "AWAY": "broker.invalid:9093"}
        plain = f"PLAINTEXT://{self.address}"
        controller = f"CONTROLLER://{LOOPBACK}:{self.ports['controller_port']}"
        added = _PROPERTIES.format(
            listeners=",".join([plain, controller, *_urls(hosts)]),
            advertised=",".join([plain, *_urls(advertised)]),
            protocols=",".join(f"{name}:{kind}" for name, kind in LISTENERS.items()),
            folder=self.folder,
        )
        logins = "".join(
            _LOGINS.format(
                name=name.lower(), modules=_MODULES, user=USER, password=PASSWORD
            )
            for name, kind in LISTENERS.items()
            if kind.startswith("SASL")
        )
        return super().properties() + added + logins


def _urls(hosts: Mapping[str, str]) -> list[str]:
    return [f"{name}://{address}" for name, address in hosts.items()]


@dataclass(frozen=True)
class Secured:
    """A running broker, and what its clients need.

    Attributes:
        server: The broker.
        folder: ``ca.pem``, ``stranger.pem`` (an authority it has nothing to do with),
            ``client.pem`` and ``client.key``.
        admin: May do everything.
    """

    server: SecuredKafka
    folder: Path
    admin: AdminClient

    def at(self, listener: str) -> str:
        """Return ``host:port`` of a listener."""
        return f"{LOOPBACK}:{self.server.ports[listener]}"

    def options(self, listener: str = "SASL", **changed: str) -> dict[str, str]:
        """Return librdkafka options of the one user, dots as underscores."""
        found = {
            "bootstrap.servers": self.at(listener),
            "security.protocol": LISTENERS[listener],
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": USER,
            "sasl.password": "${env:KAFKA_PASSWORD}",
            "ssl.ca.location": str(self.folder / "ca.pem"),
        }
        return found | {
            name.replace("_", "."): value for name, value in changed.items()
        }

    def user(self, *rights: tuple[str, str, str]) -> str:
        """Make a user of its own, with these rights: operation, kind, name."""
        name = f"user-{uuid.uuid4().hex[:8]}"
        self.enrol(name)
        for right in rights:
            self.allow(name, *right)
        return name

    def enrol(self, user: str) -> None:
        """Let a user log in by SCRAM."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        asked = [UserScramCredentialUpsertion(user, info, PASSWORD.encode())]
        self.admin.alter_user_scram_credentials(asked)[user].result(PATIENCE_S)

    def allow(self, user: str, operation: str, kind: str, name: str) -> None:
        """Give a user one right, and wait until the broker knows of it."""
        resource = (
            ResourceType[kind.upper().replace("-", "_")],
            name,
            ResourcePatternType.LITERAL,
            f"User:{user}",
        )
        rule = (AclOperation[operation], AclPermissionType.ALLOW)
        for made in self.admin.create_acls(
            [AclBinding(*resource, "*", *rule)]
        ).values():
            made.result(PATIENCE_S)
        until = time.monotonic() + PATIENCE_S
        asked = AclBindingFilter(*resource, None, *rule)
        while not self.admin.describe_acls(asked).result(PATIENCE_S):
            assert time.monotonic() < until


def prepared(folder: Path, ports: Mapping[str, int]) -> SecuredKafka:
    """Return a broker that is ready to start, its certificates made."""
    server = SecuredKafka(folder, ports)
    folder.mkdir(parents=True)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)
    certificates = {
        "server": authority.issue_cert("localhost", LOOPBACK),
        "other": authority.issue_cert("broker.example"),
        "expired": authority.issue_cert(
            LOOPBACK, not_before=past - dt.timedelta(days=9), not_after=past
        ),
    }
    for name, certificate in certificates.items():
        pem = _pkcs8(certificate) + certificate.cert_chain_pems[0].bytes()
        (folder / f"{name}.pem").write_bytes(pem)
    client = authority.issue_cert("client@streamlab.example", common_name="client")
    client.cert_chain_pems[0].write_to_path(folder / "client.pem")
    client.private_key_pem.write_to_path(folder / "client.key")
    return server


def _pkcs8(certificate: trustme.LeafCert) -> bytes:
    """Return the private key in the only form that Java reads."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def opened(server: SecuredKafka) -> Secured:
    """Start the broker, and let its one user log in."""
    server.start()
    admin = AdminClient({"bootstrap.servers": server.address, "log_level": 0})
    secured = Secured(server, server.folder, admin)
    secured.enrol(USER)
    return secured
