"""PostgreSQL: connection and sink.

``connection`` finds and opens the database, ``failures`` turns the driver's errors
into ours, ``columns`` has the types and their text form for COPY, ``table`` creates or
checks the target, ``progress`` is the table of positions, ``sink`` writes epochs.
"""
