"""Reading a database's rows and its changes, over restarts, without gap or overlap.

``reader`` is the open source. It goes by what ``looking`` finds and ``preparing``
makes: the publication (``published``), its tables and their keys (``keys``), the slot
(``slot``). ``snapshot`` reads the rows, ``overlap`` leaves out what they show already,
``newcomers`` holds back tables that come later. ``streaming`` follows the log over
reconnects, ``replication`` is one connection to it, ``timelines`` tells whether it is
still the same log. ``decoding`` and ``shapes`` make events of what comes. ``kept`` and
``recent`` are the position on disk, ``confirming`` tells the server of it, ``seen`` and
``recalling`` know what was there before. ``monitor`` watches the slot meanwhile, and
``lsn`` is how a place in the log is written.
"""
