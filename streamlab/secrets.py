"""What must never be written down: secrets, and paths of one machine."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|api_?key|private_?key|jaas",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"\w+://[^/\s:@]+:[^@\s]+@|\bpassword\s*=\s*[^\s$]")
_REFERENCE = re.compile(r"\$\{(env|file):[^}]+\}")
_PATH_PARTS = 3  # "/", "home", "name": shorter ones are separators and URL paths


def objection(name: str, value: object) -> str:
    """Return why a value must not be written, without the value; "" if it may.

    Args:
        name: What the value is called: a constant, a client option.
        value: Anything; only texts can be objectionable.
    """
    if why := secret_objection(name, value):
        return why
    if isinstance(value, str) and is_absolute_path(value):
        return "is a path of this machine"
    return ""


def secret_objection(name: str, value: object) -> str:
    """Return why a value looks like a secret, without the value; "" if it does not.

    Args:
        name: What the value is called.
        value: Anything; only texts can be secrets, and references are none.
    """
    if not isinstance(value, str):
        return ""
    without_references = _REFERENCE.sub("", value)
    if not without_references:
        return ""
    if _SECRET_NAME.search(name):
        return "is named like a secret"
    if _CREDENTIALS.search(without_references):
        return "holds a password"
    return ""


def is_absolute_path(text: str) -> bool:
    """Return whether a text is the path of a file on one particular machine."""
    if "\n" in text or "://" in text:
        return False
    if text.startswith("~/") or PureWindowsPath(text).drive:
        return True
    path = PurePosixPath(text)
    return path.is_absolute() and len(path.parts) >= _PATH_PARTS
