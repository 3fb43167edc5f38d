"""Reading PostgreSQL's changes: bytes of the stream to typed frames. No connection.

The parts, in the order the bytes go through them:

- ``session``: the settings that a connection must have for its text to be exact;
- ``relation``: what the stream says about a table, and how two versions differ;
- ``pgoutput``: messages of logical replication to columns of text, in commit order;
- ``tuples``: the rows inside of the messages, in one walk over all of them;
- ``catalog`` and ``types``: which polars type a column gets, and how its text is read;
- ``frames``: columns of text to frames with the table's types and metadata;
- ``copying``: the output of a snapshot's COPY to the same frames.

Nothing here opens a connection or keeps a position: what does is told exactly which
position is safe by :class:`~.pgoutput.Batch`.
"""
