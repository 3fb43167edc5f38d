"""Operators: what runs a declared transform on a stream, epoch by epoch.

A transform declares what it needs (a window, state, a join); an operator keeps rows in
state tables, watches the event time, and calls the user's function on complete groups.
The same operators run in the worker, on a sample in a notebook, and in tests.
"""
