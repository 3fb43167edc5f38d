"""Capture: from live transforms to everything that they need, as text.

``capturing.capture`` follows the live objects by name and returns pieces: imports,
constants, frames, functions and classes, with where each was taken from. What cannot
be carried comes back as problems, each with what to do.
"""
