"""Settings: the only place that reads streamlab.toml and the environment.

A settings file has profiles, one for each place with servers::

    default_profile = "local"

    [profiles.local]            # the servers of `streamlab up`, needs no entry

    [profiles.work.kafka]       # librdkafka's own names, in quotes
    "bootstrap.servers" = "broker.example:9092"
    "sasl.password" = "${env:KAFKA_PASSWORD}"

    [profiles.work.postgres]
    dsn = "${env:WAREHOUSE_DSN}"

A value may be a reference, ``${env:NAME}`` or ``${file:PATH}``. It stays a reference
wherever settings are shown, written or exported, and is resolved on connecting.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlab.errors import SettingsError, UnknownName

FILE_NAME = "streamlab.toml"
LOCAL = "local"
"""The profile of the servers that `streamlab up` starts."""

_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One named place with servers.

    Attributes:
        name: Its name in the settings file.
        kafka: librdkafka options, references not resolved.
        postgres: ``dsn``, references not resolved.
    """

    name: str
    kafka: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What streamlab.toml says, plus the running local stack."""

    home: Path
    profiles: Mapping[str, Profile]
    default_profile: str = LOCAL

    @classmethod
    def load(cls, start: Path | None = None) -> Settings:
        """Read streamlab.toml in ``start`` (the working directory) or a parent of it.

        Raises:
            SettingsError: The file is not TOML, or has an unknown section.
        """
        start = (start or Path.cwd()).resolve()
        path = next(
            (
                p / FILE_NAME
                for p in (start, *start.parents)
                if (p / FILE_NAME).exists()
            ),
            None,
        )
        home = path.parent if path else start
        stored = _read_toml(path) if path else {}
        profiles = {
            name: Profile(
                name,
                kafka=_strings(section.get("kafka", {})),
                postgres=_strings(section.get("postgres", {})),
            )
            for name, section in stored.get("profiles", {}).items()
        }
        local = _local_stack(home)
        if local and not (
            LOCAL in profiles and (profiles[LOCAL].kafka or profiles[LOCAL].postgres)
        ):
            profiles[LOCAL] = local
        chosen = os.environ.get("STREAMLAB_PROFILE") or stored.get(
            "default_profile", LOCAL
        )
        return cls(home=home, profiles=profiles, default_profile=chosen)

    @property
    def state_folder(self) -> Path:
        """Return ``.streamlab``, where everything streamlab keeps on disk lies."""
        return self.home / ".streamlab"

    def profile(self, name: str = "") -> Profile:
        """Return a profile by name, the default one without.

        Raises:
            UnknownName: There is no such profile; for ``local``, no running stack.
        """
        name = name or self.default_profile
        try:
            return self.profiles[name]
        except KeyError:
            hint = (
                "start the local servers: streamlab up"
                if name == LOCAL
                else f"add [profiles.{name}.kafka] to {FILE_NAME}"
            )
            raise UnknownName("profile", name, self.profiles, hint=hint) from None


def resolved(value: str, *, base: Path | None = None) -> str:
    """Return a setting with its ``${env:…}`` and ``${file:…}`` references replaced.

    Raises:
        SettingsError: A variable is not set or a file cannot be read. The message
            names the reference, never its content.
    """

    def replace(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind == "env":
            found = os.environ.get(name)
            if found is None:
                message = f"the environment variable {name} is not set"
                raise SettingsError(message, hint=f"export {name}=…")
            return found
        try:
            return ((base or Path.cwd()) / name).read_text(encoding="utf-8").strip()
        except OSError as error:
            message = f"the file of the reference {match.group()} cannot be read"
            raise SettingsError(message) from error

    return _REFERENCE.sub(replace, value)


def render_mode() -> str:
    """Return how notebook views are asked to render: ``static``, ``live`` or ``""``.

    Raises:
        SettingsError: ``STREAMLAB_RENDER`` is something else.
    """
    mode = os.environ.get("STREAMLAB_RENDER", "")
    if mode not in {"", "static", "live"}:
        message = f"STREAMLAB_RENDER is {mode!r}"
        raise SettingsError(message, hint="set it to static or live, or unset it")
    return mode


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        message = f"{path.name} is not valid TOML: {error}"
        raise SettingsError(message) from error


def _strings(section: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in section.items()}


def _local_stack(home: Path) -> Profile | None:
    """Return the profile of the stack that runs from ``home``, if one does."""
    path = home / ".streamlab" / "stack.json"
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["servers"]
    except (OSError, ValueError, KeyError):
        return None
    kafka = servers.get("kafka", {}).get("address")
    postgres = servers.get("postgres", {}).get("dsn")
    return Profile(
        LOCAL,
        kafka={"bootstrap.servers": kafka} if kafka else {},
        postgres={"dsn": postgres} if postgres else {},
    )
