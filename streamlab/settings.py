"""Settings: with `references`, the only reader of streamlab.toml and environment.

A settings file has profiles, one for each place with servers::

    default_profile = "local"

    [profiles.local]            # the servers of `streamlab up`, needs no entry

    [profiles.work.kafka]       # librdkafka's own names, in quotes
    "bootstrap.servers" = "broker.example:9092"
    "sasl.password" = "${env:KAFKA_PASSWORD}"

    [profiles.work.registry]
    url = "https://registry.example"
    token = "${file:registry.token}"

    [profiles.work.postgres]
    dsn = "${env:WAREHOUSE_DSN}"

A value may be a reference, ``${env:NAME}`` or ``${file:PATH}``. It stays a reference
wherever settings are shown, written or exported, and is resolved on connecting. A
variable that the environment does not have is looked up in the file ``.env`` beside
streamlab.toml, which streamlab reads and never writes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlab import references
from streamlab.errors import SettingsError, UnknownName, near_names
from streamlab.toml import TomlFile

FILE_NAME = "streamlab.toml"
STATE_FOLDER = ".streamlab"
"""Folder for everything streamlab keeps on disk."""

STACK_RECORD = "stack.json"
"""File in the state folder that says where the servers of `streamlab up` are."""

LOCAL = "local"
"""The profile of the servers that `streamlab up` starts."""

_TOP_LEVEL = ("default_profile", "profiles")
_SYSTEMS = ("kafka", "registry", "postgres")
_POSTGRES_OPTIONS = ("dsn",)

_REGISTRY_OPTIONS = (
    *("url", "username", "password", "token"),
    *("ca", "certificate", "key", "key_password"),
)
_OPTIONS = {"postgres": _POSTGRES_OPTIONS, "registry": _REGISTRY_OPTIONS}

_SECRET = re.compile(r"(?:password|passphrase|secret|token|key\.pem)$")
"""How the name of an option ends whose value nobody else should see."""


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """One named place with servers.

    Attributes:
        name: Its name in the settings file.
        kafka: librdkafka options, references not resolved.
        postgres: ``dsn``, references not resolved.
        registry: ``url``, ``username`` and ``password`` or ``token``, ``ca``,
            ``certificate``, ``key`` and ``key_password``, references not resolved.
    """

    name: str
    kafka: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)
    registry: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the names of the options, never a value: it might be a secret."""
        shown = (f"{name}={sorted(getattr(self, name))}" for name in _SYSTEMS)
        return f"Profile({self.name!r}, {', '.join(shown)})"

    @property
    def open_secrets(self) -> tuple[str, ...]:
        """Return the options that are secrets and written out instead of referred to.

        Named as ``kafka.sasl.password``.
        """
        return tuple(
            f"{system}.{name}"
            for system in _SYSTEMS
            for name, value in getattr(self, system).items()
            if _SECRET.search(name) and value and not references.is_reference(value)
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What streamlab.toml says, plus the running local stack.

    Attributes:
        home: The nearest folder, from the working directory up, that has a
            streamlab.toml or a local stack; the working directory if none has.
        profiles: Name → profile. ``local`` has the servers of the local stack, with
            what the file says about it on top.
        default_profile: Name of the profile that is meant where none is named.
    """

    home: Path
    profiles: Mapping[str, Profile]
    default_profile: str = LOCAL

    @classmethod
    def load(cls, start: Path | None = None) -> Settings:
        """Read streamlab.toml in ``start`` (the working directory) or a parent of it.

        Raises:
            SettingsError: The file is not TOML, or has something in it that streamlab
                does not know; the message names the line.
        """
        home = home_of(start or Path.cwd())
        path = home / FILE_NAME
        stored: Mapping[str, Any] = {}
        if path.exists():
            file = TomlFile.read(path, SettingsError)
            _check(file)
            stored = file.tables
        profiles = {
            name: Profile(name, **{key: _texts(each[key]) for key in each})
            for name, each in stored.get("profiles", {}).items()
        }
        if local := _local_stack(home):
            profiles[LOCAL] = _on_top(local, profiles.get(LOCAL))
        chosen = os.environ.get("STREAMLAB_PROFILE") or stored.get("default_profile")
        return cls(home=home, profiles=profiles, default_profile=chosen or LOCAL)

    @property
    def state_folder(self) -> Path:
        """Return ``.streamlab``, where everything streamlab keeps on disk lies."""
        return self.home / STATE_FOLDER

    def profile(self, name: str = "") -> Profile:
        """Return a profile by name, the default one without.

        Raises:
            UnknownName: There is no such profile.
            SettingsError: It is ``local``, and no stack runs here.
        """
        name = name or self.default_profile
        try:
            return self.profiles[name]
        except KeyError:
            if name == LOCAL:
                message = "no local servers run for this folder"
                hint = f"start them: streamlab up; or name a profile of {FILE_NAME}"
                raise SettingsError(message, hint=hint) from None
            hint = f"add [profiles.{name}.kafka] to {FILE_NAME}"
            raise UnknownName("profile", name, self.profiles, hint=hint) from None


def made_state_folder(folder: Path) -> Path:
    """Make a ``.streamlab`` if it is not there, and have git pass over it.

    It has passwords, keys and events in it, whatever the project ignores.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    return folder


def home_of(start: Path) -> Path:
    """Return the nearest folder with settings or a stack, else ``start`` itself."""
    start = start.resolve()
    for folder in (start, *start.parents):
        record = folder / STATE_FOLDER / STACK_RECORD
        if (folder / FILE_NAME).exists() or record.exists():
            return folder
    return start


def resolved(value: str, *, base: Path | None = None) -> str:
    """Return a setting with its ``${env:…}`` and ``${file:…}`` references replaced.

    Args:
        value: The setting as it was written.
        base: Folder that has ``.env`` and that paths count from; by default the
            home that :meth:`Settings.load` would find.

    Raises:
        SettingsError: A variable is not set or a file cannot be read. The message
            names the reference, never its content.
    """
    return references.resolved(value, base or home_of(Path.cwd()))


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


def _check(file: TomlFile) -> None:
    """Refuse what streamlab does not know, so that no typing mistake goes unseen."""
    _known(file, (), file.tables, _TOP_LEVEL)
    default = file.tables.get("default_profile", LOCAL)
    if not isinstance(default, str):
        raise _mistake(file, ("default_profile",), "must be a text")
    profiles = _table(file, ("profiles",), file.tables.get("profiles", {}))
    for name, profile in profiles.items():
        place = ("profiles", name)
        _known(file, place, _table(file, place, profile), _SYSTEMS)
        for system, options in profile.items():
            _check_options(file, (*place, system), options)


def _check_options(file: TomlFile, place: tuple[str, ...], options: Any) -> None:
    options = _table(file, place, options)
    if place[-1] in _OPTIONS:
        _known(file, place, options, _OPTIONS[place[-1]])
    for name, value in options.items():
        if isinstance(value, Mapping):
            hint = f'put dotted names in quotes: "{name}.{next(iter(value), "…")}" = …'
            raise _mistake(file, (*place, name), "must be a value, not a table", hint)
        if not isinstance(value, str | int | float):
            raise _mistake(file, (*place, name), "must be a text, a number or a bool")


def _table(file: TomlFile, place: tuple[str, ...], value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _mistake(file, place, f"must be a section: [{'.'.join(place)}]")
    return value


def _known(
    file: TomlFile,
    place: tuple[str, ...],
    names: Iterable[str],
    known: Sequence[str],
) -> None:
    for name in names:
        if name not in known:
            hint = near_names(name, known)
            raise _mistake(file, (*place, name), "is not a known setting", hint)


def _mistake(
    file: TomlFile, names: tuple[str, ...], what: str, hint: str = ""
) -> SettingsError:
    return SettingsError(f"{file.place(*names)}: {'.'.join(names)} {what}", hint=hint)


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    """Return options as texts, a bool as librdkafka spells it."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in options.items()
    }


def _on_top(stack: Profile, file: Profile | None) -> Profile:
    if file is None:
        return stack
    return Profile(
        stack.name,
        kafka={**stack.kafka, **file.kafka},
        postgres={**stack.postgres, **file.postgres},
        registry={**stack.registry, **file.registry},
    )


def _local_stack(home: Path) -> Profile | None:
    """Return the profile of the stack that runs from ``home``, if one does."""
    path = home / STATE_FOLDER / STACK_RECORD
    try:
        servers = json.loads(path.read_text(encoding="utf-8"))["servers"]
    except (OSError, ValueError, KeyError):
        return None
    kafka = servers.get("kafka", {}).get("address")
    postgres = servers.get("postgres", {}).get("dsn")
    registry = servers.get("registry", {}).get("url")
    if not (kafka or postgres or registry):
        return None
    return Profile(
        LOCAL,
        kafka={"bootstrap.servers": kafka} if kafka else {},
        postgres={"dsn": postgres} if postgres else {},
        registry={"url": registry} if registry else {},
    )
