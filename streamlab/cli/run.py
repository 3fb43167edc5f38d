"""``streamlab run`` and ``streamlab plan``: a pipeline, run or only shown."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from streamlab.cli.chosen import add_pipeline, chosen_pipeline


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_pipeline(parser)
    if name == "plan":
        return
    parser.add_argument(
        "--until-caught-up",
        action="store_true",
        help="return once everything that is there was written",
    )
    parser.add_argument(
        "--finish",
        action="store_true",
        help="the same, and close every window: nothing is to come any more",
    )
    parser.add_argument(
        "--until",
        default="",
        help="read up to here and no further: latest, a time such as "
        "2013-01-01T05:00:00Z, or 0=100,1=250; the next run goes on there",
    )
    parser.add_argument(
        "--savepoint",
        default="",
        metavar="PLACE",
        help="write one at the end: a folder, or a URL as fsspec reads it",
    )
    parser.add_argument(
        "--from-savepoint",
        default="",
        metavar="PLACE",
        help="begin with its state and positions; for a pipeline that has none yet",
    )
    parser.add_argument(
        "--port", type=int, default=0, help="loopback port of status and metrics"
    )
    parser.add_argument("--worker", default="", help="name of this worker")
    parser.add_argument("--log", choices=["json", "text"], default="json")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Run the pipeline, or show what it would do."""
    pipeline = chosen_pipeline(arguments)
    if name == "plan":
        from streamlab.pipelines.plan import plan

        print(plan(pipeline))
        return 0
    from streamlab.engines import local
    from streamlab.engines.local import savepoints
    from streamlab.observe import logs

    logs.configure(as_json=arguments.log == "json")
    if arguments.from_savepoint:
        savepoints.begin_from(pipeline, arguments.from_savepoint)
    summary = local.run(
        pipeline,
        until_caught_up=arguments.until_caught_up,
        finish=arguments.finish,
        until=arguments.until,
        port=arguments.port,
        name=arguments.worker,
    )
    if arguments.savepoint:
        savepoints.take(pipeline, arguments.savepoint)
    print(json.dumps(asdict(summary)))
    return 0
