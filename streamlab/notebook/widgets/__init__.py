"""Widgets, one file each; they show plain objects and hold no state."""
