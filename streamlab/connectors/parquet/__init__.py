"""Parquet files: one for each epoch, with a log that says which ones count.

The folder of a sink::

    flights-0-0-50000.e1.parquet     committed rows: any reader may take *.parquet
    _streamlab/commits.log           the rows' names and the progress, line by line
    _streamlab/staged/               written, not committed: invisible to readers
    _streamlab/lock                  held by the one that writes

An epoch is written into ``staged``, becomes real by its line in the log, and is then
moved into the folder. So a plain reader never sees rows that were not committed, and
a crash leaves only what the next ``claim`` puts in order: a file without a line is
removed, a file with one is moved. Files of anybody else are never touched.
"""

from __future__ import annotations

from streamlab.connectors.parquet.sink import ParquetSink, scan

__all__ = ["ParquetSink", "scan"]
