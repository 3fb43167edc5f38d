"""A measured child process: its memory, its processor time, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

SAMPLE_S = 0.05
STOP_S = 30.0


class Measured:
    """A command that runs as a child, watched from outside by psutil.

    Used in a ``with`` block: it is stopped by SIGTERM at the end of the block, and
    killed if it does not end within :data:`STOP_S`. An exit code other than 0 is an
    error, unless it was killed on purpose.

    Attributes:
        peak_rss_mb: Largest resident set seen so far, in 10^6 bytes.
        log: File with its output.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        name: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the command in ``folder`` with its output in ``<name>.log``."""
        self.log = folder / f"{name}.log"
        self.peak_rss_mb = 0.0
        self.started = time.perf_counter()
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                list(command),
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._watched = psutil.Process(self.process.pid)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def cpu_s(self) -> float:
        """Return the processor seconds used so far, in user and system mode."""
        times = self._watched.cpu_times()
        return times.user + times.system

    def check(self) -> None:
        """Raise if the command has ended on its own."""
        if self.process.poll() is not None:
            raise RuntimeError(self._ending())

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(STOP_S)

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def wait(self, timeout_s: float) -> int:
        """Wait until it ends by itself, and return its exit code."""
        return self.process.wait(timeout_s)

    def __enter__(self) -> Self:
        """Return itself: it already runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it; on the way of an error, kill it."""
        if kind is not None:
            self.process.kill()
        try:
            code = self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self._watcher.join()
        if kind is None and code not in {0, -signal.SIGKILL}:
            raise RuntimeError(self._ending())

    def _watch(self) -> None:
        while self.process.poll() is None:
            try:
                rss_mb = self._watched.memory_info().rss / 1e6
            except psutil.NoSuchProcess:
                return
            self.peak_rss_mb = max(self.peak_rss_mb, rss_mb)
            time.sleep(SAMPLE_S)

    def _ending(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = "\n  ".join(lines[-10:])
        return f"{self.log.stem} ended with code {self.process.returncode}:\n  {last}"
