"""The local engine: one process, scaled by consumer groups."""
