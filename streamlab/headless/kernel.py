"""The kernel of this environment, without a port and without standard input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_runtime_dir


class OwnKernel(AsyncKernelManager):
    """Starts ipykernel in the Python that asks for it.

    A kernel of the same name that somebody registered on the machine is not used, the
    sockets are files, and whatever reads standard input finds its end.
    """

    def __init__(self, **options: Any) -> None:
        """Speak over sockets of the file system: no port is opened."""
        super().__init__(**options)
        self.transport = "ipc"
        # The default is a name in the working directory, the same for every kernel.
        self.ip = str(Path(jupyter_runtime_dir()) / "ipc")

    @property
    def kernel_spec(self) -> KernelSpec:
        """Return how it is started."""
        return KernelSpec(
            argv=[
                sys.executable,
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
            ],
            display_name="Python 3 (ipykernel)",
            language="python",
        )

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # declared for both managers
        """Start it; what reads from standard input must not wait for anybody."""
        await self._async_start_kernel(stdin=subprocess.DEVNULL, **options)
