"""The tutorials, executed for git: ``python -m demo.notebook notebooks/*.py``.

They run on new servers with nothing but the flights, so that what they show does not
depend on what was done here before.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from demo import load, project
from streamlab import headless

HOME = Path(".streamlab/tutorials").resolve()


def main(sources: list[str]) -> None:
    """Render the notebooks, each beside its source."""
    with project.fresh(HOME, print) as servers:
        print("loading the flights")
        load.load(servers.kafka)
        written = headless.render(sources, folder=HOME, progress=print)
    for path in written:
        print(f"{os.path.relpath(path)}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
