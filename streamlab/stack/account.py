"""The system user PostgreSQL runs as where we are root: it refuses to be root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from streamlab.errors import StackError

ACCOUNT = "pgserver"
"""The name that the package with the PostgreSQL binaries uses too."""


def unprivileged() -> str | None:
    """Return the user to run PostgreSQL as, made if needed; None for ourselves.

    Raises:
        StackError: We are root, and there is neither the user nor a way to make it.
    """
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        _create()
    return ACCOUNT


def hand_over(path: Path, user: str | None) -> None:
    """Give a new, empty folder or a file to the user, if it is another one."""
    if user is not None:
        shutil.chown(path, user, user)


def let_pass(path: Path, user: str | None) -> None:
    """Let another user reach a folder: pass through its parents, not list them.

    Only folders that others cannot pass are changed, and only by that one bit.
    """
    if user is None:
        return
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def let_read(folder: Path, user: str | None) -> None:
    """Let another user read a folder of programs and run them, as its owner may.

    Where root works with a umask of 077, nobody else can use what pip installed.
    """
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | (mode & (stat.S_IRUSR | stat.S_IXUSR)) >> 6
        if wanted != mode:
            path.chmod(wanted)


def _create() -> None:
    try:
        subprocess.run(
            [
                *("useradd", "--system", "--user-group", "--no-create-home"),
                *("--shell", "/usr/sbin/nologin", ACCOUNT),
            ],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        # Two stacks that start at once may both find no user: one of them wins.
        if any(entry.pw_name == ACCOUNT for entry in pwd.getpwall()):
            return
        raise StackError(
            f"PostgreSQL does not run as root, and the user {ACCOUNT!r}, which it "
            "would run as, cannot be made",
            hint=f"run as an ordinary user, or make the user: useradd {ACCOUNT}",
        ) from error
