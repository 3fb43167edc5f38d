"""PostgreSQL: connection, sink, and source of changes.

``connection`` finds and opens the database, ``failures`` turns the driver's errors
into ours, ``doctor`` says what a database lacks to be read.

The sink: ``columns`` has the types and their text form for COPY, ``table`` creates or
checks the target, ``progress`` is the table of positions, ``sink`` writes epochs;
``applying`` does to a table what changes say, of which ``reducing`` leaves the last.

The source: ``source`` has its settings, ``reading`` is how it is read, and ``changes``
how the messages of its log become frames.
"""
