"""Access to a schema registry: what a profile says of it, read and checked once.

Whoever speaks to the registry (formats, the doctor) takes its address, login and files
from here, so that all of them accept and refuse the same settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from streamlab.errors import SettingsError
from streamlab.settings import Profile, resolved

SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Access:
    """How to reach a registry; references are resolved.

    Attributes:
        url: Its base URL, without a login.
        login: User name and password, if it wants them.
        token: A bearer token, if it wants one.
        ca: File of authorities that the system does not know; empty for none.
        certificate: File of the client certificate; empty for none.
        key: File of its key; empty where the certificate's file has it.
        key_password: Password of the key; None without one.
    """

    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    ca: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, profile: Profile, home: Path) -> Access:
        """Read the options of a profile.

        Args:
            profile: The profile.
            home: Folder that paths and references count from.

        Raises:
            SettingsError: They do not fit together; no value is told.
        """
        options = {
            name: resolved(value, base=home) for name, value in profile.registry.items()
        }
        section = f"[profiles.{profile.name}.registry]"
        _require_address(urlsplit(options.get("url", "")), section)
        ca, certificate, key = (
            str(home / Path(options[name]).expanduser()) if options.get(name) else ""
            for name in ("ca", "certificate", "key")
        )
        return cls(
            url=options["url"],
            login=_login(options, section),
            token=options.get("token", ""),
            ca=ca,
            certificate=certificate,
            key=key,
            key_password=options.get("key_password"),
        )


def _require_address(address: SplitResult, section: str) -> None:
    if address.scheme not in SCHEMES or not address.hostname:
        message = f"{section} does not say where the registry is"
        raise SettingsError(message, hint='write url = "https://registry.example"')
    if address.username or address.password:
        message = f"{section}: the url has a login in it"
        raise SettingsError(message, hint="write it as username and password")


def _login(options: Mapping[str, str], section: str) -> tuple[str, str] | None:
    user, secret = options.get("username"), options.get("password")
    if "token" in options and (user or secret):
        message = f"{section} has a token, and a username or password"
        raise SettingsError(message, hint="leave one of the two out")
    if (user is None) != (secret is None):
        message = f"{section} needs username and password together"
        hint = 'an empty one is written as ""'
        raise SettingsError(message, hint=hint)
    return (user, secret) if user is not None and secret is not None else None
