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
    from streamlab.observe import logs

    logs.configure(as_json=arguments.log == "json")
    summary = local.run(
        pipeline,
        until_caught_up=arguments.until_caught_up,
        port=arguments.port,
        name=arguments.worker,
    )
    print(json.dumps(asdict(summary)))
    return 0
