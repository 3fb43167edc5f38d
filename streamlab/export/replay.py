"""Replaying a sample through a package's pipeline: what its verification runs."""

from __future__ import annotations

from streamlab.engines.local.rehearsal import Replayed, replay

__all__ = ["Replayed", "replay"]
