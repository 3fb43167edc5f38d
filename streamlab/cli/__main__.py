"""``python -m streamlab.cli`` is ``streamlab``."""

import sys

from streamlab.cli import main

sys.exit(main())
