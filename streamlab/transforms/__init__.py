"""Transforms: functions on frames, and what may be claimed of them."""
