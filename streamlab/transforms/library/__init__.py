"""Folds that everybody needs, ready made: each call returns a transform."""
