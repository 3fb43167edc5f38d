"""Doctors: what works and what does not on the way to a server, one for each system.

``streamlab doctor kafka`` is :func:`kafka` on the command line.
"""

from __future__ import annotations

from streamlab.connectors.diagnosis import Diagnosis, Step
from streamlab.connectors.kafka.doctor import diagnose as kafka

__all__ = ["Diagnosis", "Step", "kafka"]
