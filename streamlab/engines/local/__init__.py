"""The local engine: one process, scaled by consumer groups."""

from streamlab.engines.local.process import STOP_S, WorkerHandle, run, start, stop
from streamlab.engines.local.summary import RunSummary
from streamlab.engines.local.worker import Worker

__all__ = ["STOP_S", "RunSummary", "Worker", "WorkerHandle", "run", "start", "stop"]
