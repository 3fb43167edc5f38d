"""``%start``: a transform at work on live events, in memory or as a worker."""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
from typing import Any

from streamlab.engines.local.process import WorkerHandle, start
from streamlab.errors import StreamlabError
from streamlab.notebook import panels
from streamlab.notebook.magics.parsing import MagicParser
from streamlab.notebook.panel import Panel
from streamlab.notebook.session import Session
from streamlab.notebook.shown import shown
from streamlab.pipelines import endpoints
from streamlab.settings import Settings
from streamlab.transforms.transform import Transform

SETTLE_S = 2.0


PARSER = MagicParser(
    "%start",
    """\
Run a transform on live events, and return at once.

Without a destination it is a preview: events are read as by a tap, the output
stays in memory. With one, the captured code runs in a worker of its own, which
ends with this kernel unless --detach is given.
""",
)
PARSER.add_argument("transform", metavar="TRANSFORM", help="the transform to run")
PARSER.add_argument(
    "--to",
    metavar="DESTINATION",
    help="table:NAME, topic:NAME or folder:PATH; without it, a preview",
)
PARSER.add_argument(
    "--key", default="", help="columns that name a row: a table is updated by key"
)
PARSER.add_argument(
    "--as",
    dest="name",
    metavar="NAME",
    default="",
    help="name of the pipeline, its group and its position; the transform's",
)
PARSER.add_argument(
    "--topic", metavar="TOPIC", default="", help="read this instead of its sample's"
)
PARSER.add_argument(
    "--from",
    dest="begin",
    default="earliest",
    metavar="WHEN",
    help="where a worker begins the first time: earliest, latest or a time",
)
PARSER.add_argument(
    "--detach", action="store_true", help="let the worker outlive this kernel"
)
PARSER.add_argument(
    "--profile", metavar="PROFILE", help="another profile than that of %%connect"
)


def run(session: Session, line: str, _cell: str | None = None) -> object:
    """Run the magic; see its parser for what it does."""
    arguments = PARSER.of(line)
    transform = session.transform(arguments.transform)
    if not arguments.to:
        return previewed(session, transform, topic=arguments.topic)
    return _started(session, transform, arguments)


def previewed(
    session: Session, transform: Transform[Any, Any], *, topic: str
) -> object:
    """Return a live view of a transform's output; nothing is written anywhere."""
    from streamlab.notebook.preview import Preview, require_one_stream
    from streamlab.taps.live import live_tap

    require_one_stream(transform)
    sample = session.sample_for(transform)
    following = live_tap(
        topic or sample.topic,
        format=sample.format,
        schema=sample.schema,
        profile=session.profile,
    )
    preview = Preview(transform, following)
    return shown(
        session,
        f"preview {transform.name}",
        preview,
        functools.partial(panels.of_preview, transform.name, preview),
        settle_s=SETTLE_S,
    )


@dataclass(frozen=True)
class RunningWorker:
    """A worker that this notebook started, as ``%stop`` sees it.

    Attributes:
        name: Name of its pipeline.
        handle: The process.
        detached: Whether it outlives the kernel.
    """

    name: str
    handle: WorkerHandle
    detached: bool
    kind: str = "worker"

    @property
    def running(self) -> bool:
        """Return whether the process is alive."""
        return self.handle.running

    @property
    def failed(self) -> bool:
        """Return whether the process has ended by itself, with an error."""
        return not self.running and self.handle.process.returncode != 0

    def describe(self) -> str:
        """Return its state and how far it is, or why it failed."""
        if self.failed:
            # Log lines come first; what the command says at its end is the reason.
            _, _, said = self.handle.last_words().rpartition("streamlab run: ")
            return f"failed: {said or f'see {self.handle.log.name}'}"
        try:
            status = self.handle.status()
        except StreamlabError as error:
            return error.message
        counts = status.counts
        return (
            f"{status.state}, process {self.handle.pid}, "
            f"{counts.get('read', 0):,} in, {counts.get('rows_out', 0):,} out"
        )

    def stop(self) -> None:
        """Have it finish what is under way."""
        self.handle.stop()


def _started(
    session: Session, transform: Transform[Any, Any], arguments: argparse.Namespace
) -> Panel:
    """Capture the transform, start a worker of it, and return its plan."""
    from streamlab import export
    from streamlab.pipelines.file import load
    from streamlab.pipelines.plan import plan

    sample = session.sample_for(transform)
    # Both ends go by the default profile, which the worker gets from start().
    exported = export.write(
        transform,
        arguments.name or transform.name,
        folder=Settings.load().state_folder / "run",
        sample=sample,
        source=endpoints.source(arguments.topic or sample.topic, start=arguments.begin),
        sink=endpoints.sink(arguments.to, key=arguments.key),
        overwrite=True,
    )
    planned = plan(load(exported.pipeline_file))
    handle = start(
        exported.pipeline_file,
        detach=arguments.detach,
        profile=arguments.profile or session.profile,
    )
    worker = RunningWorker(handle.pipeline, handle, arguments.detach)
    session.add(worker)
    lasts = "it outlives this kernel" if worker.detached else "it ends with this kernel"
    return panels.of_plan(
        planned,
        title=f"worker of {worker.name} is starting",
        note=f"%lag {worker.name} follows it, %stop {worker.name} ends it; {lasts}; "
        f"its log: {handle.log.name}",
    )
