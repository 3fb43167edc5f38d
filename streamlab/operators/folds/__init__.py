"""Operators of folds: a function of events and a state."""
