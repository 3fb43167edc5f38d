"""A private JupyterLab and a headless Chromium, for tests of what a person sees."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

START_S = 60
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
QUIET = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": (
        '{"checkForUpdates": false, "fetchNews": "false"}'
    )
}

# Resolves when the notebook is open and its kernel idle: before that, key strokes
# and commands get lost.
READY = """async path => {
  const lab = window.jupyterapp; await lab.started;
  const pause = () => new Promise(done => setTimeout(done, 100));
  let open;
  for (let i = 0; i < 300 && !open; i++, await pause())
    open = [...lab.shell.widgets('main')].find(w => w.context?.path === path);
  await open.context.ready; await open.revealed; await open.sessionContext.ready;
  const kernel = open.sessionContext.session.kernel; await kernel.info;
  for (let i = 0; i < 300 && kernel.status !== 'idle'; i++) await pause();
  lab.shell.activateById(open.id);
}"""


def find_chromium() -> str | None:
    """Return an installed Chromium, or the one that Playwright downloaded."""
    installed = next(filter(None, map(shutil.which, NAMES)), None)
    if installed:
        return installed
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def write_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write code cells as a notebook that papermill and JupyterLab accept."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, path)


@dataclass
class Notebook:
    """An open notebook in the browser."""

    page: Any
    panel: Any

    def run_all(self) -> None:
        """Run all cells, and wait until the last has finished."""
        self.page.evaluate(
            "() => jupyterapp.commands.execute('notebook:run-all-cells')"
        )

    def select(self, cell: int) -> Any:
        """Make a cell the active one."""
        self.page.evaluate(
            "n => { jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", cell
        )

    def run(self, cell: int) -> None:
        """Run one cell, and wait until it has finished."""
        self.select(cell)
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:run-cell')")

    def output(self, cell: int) -> Any:
        """Return the locator of a cell's output."""
        return (
            self.panel.locator(".jp-Notebook-cell")
            .nth(cell)
            .locator(".jp-Cell-outputArea")
        )

    def complete(self, text: str) -> list[str]:
        """Type into the last cell, press Tab, and return what is offered."""
        last = self.panel.locator(".jp-Notebook-cell").last
        last.locator(".cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        self.page.keyboard.press("Tab")
        offered = self.page.locator(".jp-Completer-item .jp-Completer-match")
        offered.first.wait_for(timeout=15_000)
        found: list[str] = offered.all_inner_texts()
        self.page.keyboard.press("Escape")
        return found


@dataclass
class Lab:
    """A running JupyterLab."""

    root: Path
    url: str
    token: str
    process: subprocess.Popen[bytes]

    def open(self, page: Any, cells: Sequence[str]) -> Notebook:
        """Open a new notebook with these cells."""
        name = f"{secrets.token_hex(4)}.ipynb"
        write_notebook(self.root / name, cells)
        page.goto(
            f"{self.url}/lab/workspaces/{name[:8]}/tree/{name}?token={self.token}"
        )
        page.wait_for_function("() => window.jupyterapp?.started !== undefined")
        panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        panel.wait_for(timeout=START_S * 1000)
        page.evaluate(READY, name)
        return Notebook(page, panel)


@contextlib.contextmanager
def running(root: Path, home: Path, extra: Mapping[str, str]) -> Iterator[Lab]:
    """Run JupyterLab on loopback with a home of its own.

    Args:
        root: Folder of the notebooks, and working directory of the kernels.
        home: Where settings and runtime files go, instead of the user's own.
        extra: More environment variables for the kernels.
    """
    for name, text in QUIET.items():
        path = home / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    environment = {
        **os.environ,
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **extra,
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    log = home / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    lab = Lab(root, f"http://127.0.0.1:{port}", token, process)
    try:
        _wait_until_up(lab, log)
        yield lab
    finally:
        _end(process)


def _wait_until_up(lab: Lab, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and lab.process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            status = f"{lab.url}/api/status?token={lab.token}"
            urllib.request.urlopen(status, timeout=1).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, patience_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
            return


@dataclass
class Front:
    """A browser page, and what went wrong in it."""

    page: Any
    problems: list[str] = field(default_factory=list)


@contextlib.contextmanager
def browser(executable: str, *, dark: bool = False) -> Iterator[Front]:
    """Open a page in a headless Chromium; script errors are collected."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=executable, headless=True, args=list(FLAGS)
        )
        context = opened.new_context(
            viewport={"width": 1280, "height": 1000},
            color_scheme="dark" if dark else "light",
        )
        front = Front(context.new_page())
        front.page.on("pageerror", lambda error: front.problems.append(str(error)))
        try:
            yield front
        finally:
            opened.close()
