"""Operators of windows: which rows are in one, what is kept, what comes out when."""
