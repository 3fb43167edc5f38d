"""Data contracts: what a stream's events are.

Today the schema part of an Open Data Contract Standard (ODCS v3.1) file is read:
names, types, what is required, what is personal. Quality and service levels will be
read from the same file by the same loader.
"""

from streamlab.contracts.schema import Field, Schema

__all__ = ["Field", "Schema"]
