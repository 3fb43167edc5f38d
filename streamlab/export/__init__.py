"""Export: a transform of a notebook as an installable, verified package.

``write`` follows a live transform to everything it needs and writes a package;
``verify`` runs the package's installed command on its sample.
"""

from streamlab.export.package import Exported, write
from streamlab.export.verification import Verification, verify

__all__ = ["Exported", "Verification", "verify", "write"]
