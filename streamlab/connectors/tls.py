"""Why a TLS connection is refused, by codes: for doctors.

Drivers report a refused certificate in a sentence of OpenSSL's. Here the handshake is
made once more by Python's ``ssl``, whose errors carry OpenSSL's codes; the server's
certificate is read so that the message can say what is in it.

Source: ``X509_V_ERR_*`` at
https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

from streamlab.errors import ConnectorError, Refused, SettingsError

EXPIRED, NOT_YET_VALID = 10, 9
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
OTHER_NAME = frozenset({62, 64})

SOON = dt.timedelta(days=14)

# X509_V_FLAG_NO_CHECK_TIME, which Python has no name for.
_ANY_TIME = ssl.VerifyFlags(0x200000)

_CERTIFICATE_ALERTS = frozenset(
    {
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
    }
)
"""OpenSSL's names of what a server answers to a client's certificate, or to none."""


class NotTls(Exception):
    """The other side does not answer a TLS handshake."""


class ClientRefused(Refused):
    """The server does not take the client's certificate, or misses one."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a client trusts, and how it shows who it is.

    Attributes:
        authorities: File or folder of authorities, or their PEM text; empty for the
            system's own.
        verify: Whether the server's certificate is verified.
        check_name: Whether it must be for the host that was asked for.
        certificate: File of the client's certificate; empty for none.
        key: File of its key; empty if it is in the same file.
        password: Of the key.
        said_by: How the settings call the authorities, for hints.
    """

    authorities: str = ""
    verify: bool = True
    check_name: bool = True
    certificate: str = ""
    key: str = ""
    password: str | None = None
    said_by: str = "ca"

    def context(self) -> ssl.SSLContext:
        """Return what a handshake needs.

        Raises:
            SettingsError: A file cannot be used.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = self.verify and self.check_name
        made.verify_mode = ssl.CERT_REQUIRED if self.verify else ssl.CERT_NONE
        _loaded(self.said_by, lambda: self._load_authorities(made))
        if self.certificate:
            _loaded(
                "client certificate",
                # A password that is asked for by a prompt would stop a kernel.
                lambda: made.load_cert_chain(
                    self.certificate, self.key or None, self.password or ""
                ),
            )
        return made

    def _load_authorities(self, made: ssl.SSLContext) -> None:
        if not self.authorities:
            made.load_default_certs()
        elif self.authorities.lstrip().startswith("-----BEGIN"):
            made.load_verify_locations(cadata=self.authorities)
        elif Path(self.authorities).is_dir():
            made.load_verify_locations(capath=self.authorities)
        else:
            made.load_verify_locations(cafile=self.authorities)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server's certificate says of itself.

    Attributes:
        names: The hosts it is for.
        issuer: Who signed it.
        begins: From when on it is valid.
        ends: Until when.
    """

    names: tuple[str, ...]
    issuer: str
    begins: dt.datetime
    ends: dt.datetime

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Certificate:
        """Return what ``getpeercert`` says."""
        subject = dict(pair for part in found.get("subject", ()) for pair in part)
        issuer = dict(pair for part in found.get("issuer", ()) for pair in part)
        names = tuple(value for _, value in found.get("subjectAltName", ()))
        return cls(
            names=names or (subject.get("commonName", "nobody"),),
            issuer=issuer.get("commonName") or issuer.get("organizationName", "nobody"),
            begins=_moment(found["notBefore"]),
            ends=_moment(found["notAfter"]),
        )


Connect = Callable[[], socket]


@contextlib.contextmanager
def secured(connect: Connect, host: str, trust: Trust) -> Iterator[ssl.SSLSocket]:
    """Open a TLS connection, for as long as the block lasts.

    Args:
        connect: Opens a new plain connection.
        host: The name that the certificate should be for.
        trust: What is trusted.

    Raises:
        NotTls: The other side speaks something else.
        SettingsError: A file of ``trust`` cannot be used.
        Refused: The certificate is not to be trusted, or the client's is not taken;
            with the exact reason.
    """
    context = trust.context()
    try:
        with connect() as plain, _wrapped(context, plain, host) as channel:
            yield channel
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(error.verify_code, connect, host, trust) from error
    except ssl.SSLError as error:
        if error.reason in _CERTIFICATE_ALERTS:
            raise _client_refused(trust) from error
        raise Refused(f"TLS with {host} fails: {error.reason}") from error


def _wrapped(context: ssl.SSLContext, plain: socket, host: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
        raise NotTls from error
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        if error.reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}:
            raise NotTls from error
        raise
    except TimeoutError as error:
        raise NotTls from error


def speaks_tls(connect: Connect, host: str) -> bool:
    """Return whether a TLS handshake is answered, whatever the certificate."""
    try:
        with secured(connect, host, Trust(verify=False)):
            return True
    except ClientRefused:
        return True
    except (NotTls, OSError, ConnectorError):
        return False


def describe(certificate: Certificate) -> str:
    """Return one line about a certificate."""
    names, until = ", ".join(certificate.names), f"{certificate.ends:%Y-%m-%d}"
    return f"for {names}, signed by {certificate.issuer}, until {until}"


def ends_soon(certificate: Certificate) -> bool:
    """Return whether a certificate should be renewed by now."""
    return certificate.ends - dt.datetime.now(dt.UTC) < SOON


def peer(channel: ssl.SSLSocket) -> Certificate | None:
    """Return the certificate of a verified connection; None if none was verified."""
    found = channel.getpeercert()
    return Certificate.of(found) if found else None


def read(connect: Connect, host: str) -> Certificate | None:
    """Return a server's certificate without trusting it; None if it shows none.

    Python reads a certificate only if it was verified. So it is fetched first, and
    verified in a second handshake by which it vouches for itself.
    """
    try:
        fetching = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        fetching.check_hostname = False
        fetching.verify_mode = ssl.CERT_NONE
        with connect() as plain, _wrapped(fetching, plain, host) as channel:
            found = channel.getpeercert(binary_form=True)
        if not found:
            return None
        reading = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        reading.check_hostname = False
        reading.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _ANY_TIME
        reading.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(found))
        with connect() as plain, _wrapped(reading, plain, host) as channel:
            return peer(channel)
    except (ssl.SSLError, OSError, NotTls, ConnectorError):
        return None


def _untrusted(code: int, connect: Connect, host: str, trust: Trust) -> Refused:
    """Return the error of a certificate that is not to be trusted."""
    found = read(connect, host)
    if found is None:
        return Refused(f"the certificate of {host} is not valid (OpenSSL code {code})")
    if code == EXPIRED:
        ended = f"{found.ends:%Y-%m-%d %H:%M} UTC"
        return Refused(
            f"the certificate of {host} expired on {ended}",
            hint="whoever runs the server must renew it; or is the clock wrong here?",
        )
    if code == NOT_YET_VALID:
        begins = f"{found.begins:%Y-%m-%d %H:%M} UTC"
        return Refused(
            f"the certificate of {host} is not valid before {begins}",
            hint="is this machine's clock right?",
        )
    if code in OTHER_NAME:
        return Refused(
            f"the host name does not match: {host} shows a certificate that is for "
            f"{', '.join(found.names)}",
            hint="write the name that the certificate is for",
        )
    where = f"the file of {trust.said_by}" if trust.authorities else "this system"
    if code in UNKNOWN_ISSUER:
        return Refused(
            f"the certificate of {host} is signed by an authority that {where} does "
            f"not have: {found.issuer}",
            hint=f"get that authority's certificate, and name it in {trust.said_by}",
        )
    return Refused(f"the certificate of {host} is not valid (OpenSSL code {code})")


def _client_refused(trust: Trust) -> ClientRefused:
    if trust.certificate:
        return ClientRefused(
            "the server does not take the client certificate",
            hint="did an authority that the server trusts sign it; has it expired?",
        )
    return ClientRefused(
        "the server demands a client certificate, and the profile has none",
        hint="name its file and that of its key",
    )


def _loaded(what: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        reason = f"{what} cannot be used: {error.reason or 'it is no PEM text'}"
        raise SettingsError(reason, hint="it must be PEM, and fit its key") from None
    except OSError as error:
        message = f"{what} cannot be read: {error.strerror}"
        hint = "a relative path counts from the folder of streamlab.toml"
        raise SettingsError(message, hint=hint) from None


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), dt.UTC)
