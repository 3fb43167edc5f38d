"""The command of an exported package: run its pipeline, or replay its sample."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from streamlab import cli
from streamlab.errors import StreamlabError


def main(module: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the package whose module lies in a folder.

    Without ``--sample`` this is ``streamlab run`` with its options on the package's
    own pipeline file.

    Args:
        module: Folder of the package's module.
        arguments: The command line; that of the process if None.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sample", type=Path)
    parser.add_argument("--output", type=Path)
    chosen, rest = parser.parse_known_args(words)
    from streamlab.export import installed

    try:
        pipeline_file = installed.file_of(module, "pipeline.toml")
        if chosen.sample is None or chosen.output is None:
            return cli.main(["run", str(pipeline_file), *rest])
        _replay(module, pipeline_file, chosen.sample, chosen.output)
    except StreamlabError as error:
        print(f"{module.name}: {error}", file=sys.stderr)
        return 1
    return 0


def _replay(module: Path, pipeline_file: Path, sample: Path, output: Path) -> None:
    """Run the pipeline on a sample, write the rows, print what was run as JSON."""
    from streamlab.export import installed
    from streamlab.export.replay import replay
    from streamlab.pipelines.file import load
    from streamlab.taps.sample import Sample

    output = output.resolve()
    pipeline = load(pipeline_file)
    replayed = replay(pipeline, Sample.load(sample))
    replayed.output.write_parquet(output)
    told = {
        "digest": installed.digest(module),
        "rows_in": replayed.rows_in,
        "dead_lettered": replayed.dead_lettered,
        "aggregated": any(one.needs is not None for one in pipeline.transforms),
        "seconds": replayed.seconds,
    }
    print(json.dumps(told))
