"""Export: a transform of a notebook as an installable, verified package.

``write`` follows a live transform to everything it needs, proves in a fresh process
that this does the same, and writes a package; ``verify`` runs the package's installed
command on its sample.
"""

from streamlab.export.exported import Exported
from streamlab.export.package import write
from streamlab.export.proof import Proof
from streamlab.export.verification import Verification, verify

__all__ = ["Exported", "Proof", "Verification", "verify", "write"]
