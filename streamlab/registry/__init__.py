"""Schema registries: where the schemas of Avro, Protobuf and JSON Schema topics are.

:func:`connect` returns the registry of a profile, the same object for the same
settings, so that what it has learned is kept for as long as the process runs.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from streamlab.errors import MissingExtra, SettingsError
from streamlab.settings import Settings, resolved

if TYPE_CHECKING:
    from streamlab.registry.client import Registry

EXTRA = "registry"
"""The extra that brings the client and the formats' libraries."""

STRATEGY, AUTO, LATEST, RECORD = OPTIONS = (
    "subject.name.strategy",
    "auto.register.schemas",
    "use.latest.version",
    "record.name",
)
"""The options of the formats of a registry; see :mod:`streamlab.registry.subjects`."""

_known: dict[tuple[tuple[str, str], ...], Registry] = {}
_lock = threading.Lock()


def connect(profile: str = "") -> Registry:
    """Return the registry of a profile; nothing is asked of it yet.

    Args:
        profile: Profile of the settings file; the default one if empty.

    Raises:
        SettingsError: The profile has no registry, or its settings do not fit
            together.
        MissingExtra: The extra ``registry`` is not installed.
    """
    try:
        from streamlab.registry.recorded import current
    except ModuleNotFoundError as error:
        raise MissingExtra("a schema registry", EXTRA) from error
    if (given := current()) is not None:
        return given
    settings = Settings.load()
    chosen = settings.profile(profile)
    if "url" not in chosen.registry:
        raise SettingsError(
            f"profile {chosen.name!r} has no schema registry",
            hint=f"add [profiles.{chosen.name}.registry] with a url to "
            "streamlab.toml, or start a local one: streamlab up registry",
        )
    options = {
        name: resolved(value, base=settings.home)
        for name, value in chosen.registry.items()
    }
    place = tuple(sorted(options.items()))
    with _lock:
        if place not in _known:
            _known[place] = _opened(options, settings.home, chosen.name)
        return _known[place]


def _opened(options: Mapping[str, str], home: Path, profile: str) -> Registry:
    from streamlab.registry.client import Registry

    named, secret = options.get("username"), options.get("password")
    if (named is None) != (secret is None) or (named and "token" in options):
        raise SettingsError(
            f"the registry of profile {profile!r} needs username and password "
            "together, or a token alone"
        )
    return Registry(
        options["url"],
        auth=(named, secret) if named is not None and secret is not None else None,
        token=options.get("token", ""),
        verify=_tls(options, home),
    )


def _tls(options: Mapping[str, str], home: Path) -> ssl.SSLContext | bool:
    """Return how to trust the other side, and what to show to it.

    Raises:
        SettingsError: A file cannot be used.
    """
    paths = {
        name: str(home / Path(options[name]).expanduser())
        for name in ("ca", "certificate", "key")
        if name in options
    }
    if not paths:
        return True
    try:
        context = ssl.create_default_context(cafile=paths.get("ca"))
        if "certificate" in paths:
            context.load_cert_chain(paths["certificate"], paths.get("key"))
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(paths)
        raise SettingsError(
            f"the registry's {named} cannot be used: {type(error).__name__}",
            hint="they are paths of PEM files, relative to streamlab.toml",
        ) from error
    return context
