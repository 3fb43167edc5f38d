"""Schema registries: where the schemas of Avro, Protobuf and JSON Schema topics are.

:func:`connect` returns the registry of a profile, the same object for the same
settings, so that what it has learned is kept for as long as the process runs.
"""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING

from streamlab.errors import MissingExtra, SettingsError
from streamlab.registry.access import Access
from streamlab.settings import Settings

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

_known: dict[Access, Registry] = {}
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
    access = Access.of(chosen, settings.home)
    with _lock:
        if access not in _known:
            _known[access] = _opened(access)
        return _known[access]


def _opened(access: Access) -> Registry:
    from streamlab.registry.client import Registry

    return Registry(
        access.url, auth=access.login, token=access.token, verify=_tls(access)
    )


def _tls(access: Access) -> ssl.SSLContext | bool:
    """Return how to trust the other side, and what to show to it.

    Raises:
        SettingsError: A file cannot be used.
    """
    named = ", ".join(
        name for name in ("ca", "certificate", "key") if getattr(access, name)
    )
    if not named:
        return True
    try:
        context = ssl.create_default_context(cafile=access.ca or None)
        if access.certificate:
            # Never None: the password would be asked for at the terminal.
            password = access.key_password or ""
            context.load_cert_chain(
                access.certificate, access.key or None, lambda: password
            )
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"the registry's {named} cannot be used: {type(error).__name__}",
            hint="they are paths of PEM files, relative to streamlab.toml; a locked "
            "key needs its key_password",
        ) from error
    return context
