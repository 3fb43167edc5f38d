"""Magics, one file each."""
