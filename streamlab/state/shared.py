"""The files of a task in a place that several machines reach: any URL of fsspec.

The worker works on a local copy. What it writes is there and in the place before the
call returns; what it needs and does not have it fetches, and checks like all files.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

from streamlab.errors import MissingExtra, Unavailable, first_line
from streamlab.state.files import PARTIAL, SUFFIXES, Files, Written, hostname


class SharedFiles(Files):
    """The files of one task in a local folder and under a URL."""

    def __init__(self, folder: Path, url: str) -> None:
        """Find the file system of the URL.

        Args:
            folder: Of the local copy.
            url: Of the same folder in the shared place.

        Raises:
            MissingExtra: fsspec is not installed, or what it needs for the URL.
            Unavailable: The place cannot be reached.
        """
        super().__init__(folder)
        self.url = url
        self._system, self._root = file_system(url)

    @property
    def written(self) -> Written:
        """Return where what is written now is."""
        return Written(hostname(), self.url)

    def names(self) -> list[str]:
        """Return the names of all whole files, here and there."""
        try:
            listed = self._system.ls(self._root, detail=False)
        except FileNotFoundError:
            listed = []
        except Exception as error:
            raise _unavailable(self.url, error) from error
        there = {Path(path).name for path in listed}
        shared = {name for name in there if Path(name).suffix in SUFFIXES}
        return sorted({*super().names(), *shared})

    def age_s(self, name: str, now_s: float) -> float:
        """Return for how many seconds a file has been there, or 0 if it is not."""
        if self.path(name).exists():
            return super().age_s(name, now_s)
        try:
            modified: datetime = self._system.modified(f"{self._root}/{name}")
        except Exception:  # noqa: BLE001 - not every file system knows
            return 0.0
        return now_s - modified.timestamp()

    def delete(self, names: Collection[str]) -> None:
        """Delete files, here and there; those that are not there are no matter."""
        super().delete(names)
        for name in names:
            try:
                self._system.rm_file(f"{self._root}/{name}")
            except Exception:  # noqa: BLE001, S112 - left over, which harms nothing
                continue

    def clear(self) -> None:
        """Delete all files, here and there."""
        super().clear()
        try:
            self._system.rm(self._root, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise _unavailable(self.url, error) from error

    def _publish(self, name: str) -> None:
        try:
            self._system.makedirs(self._root, exist_ok=True)
            self._system.put_file(str(self.path(name)), f"{self._root}/{name}")
        except Exception as error:
            raise _unavailable(self.url, error) from error

    def _obtain(self, name: str, path: Path) -> None:
        self._make()
        partial = path.with_suffix(PARTIAL)
        try:
            self._system.get_file(f"{self._root}/{name}", str(partial))
        except FileNotFoundError:
            partial.unlink(missing_ok=True)
            return
        except Exception as error:
            raise _unavailable(self.url, error) from error
        partial.replace(path)

    def _obtain_anew(self, name: str, path: Path) -> None:
        self._obtain(name, path)


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path there.

    Raises:
        MissingExtra: fsspec is not installed, or what it needs for the URL.
        Unavailable: The place cannot be reached.
    """
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise MissingExtra(f"state at {_scheme(url)}://", "state") from error
    except Exception as error:
        raise _unavailable(url, error) from error
    return system, str(root).rstrip("/")


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _unavailable(url: str, error: Exception) -> Unavailable:
    # Every file system has errors of its own, and most are passing troubles.
    return Unavailable(
        f"the shared state at {url} cannot be reached: {first_line(error)}",
        hint="check the URL, and that this machine may read and write there",
    )
