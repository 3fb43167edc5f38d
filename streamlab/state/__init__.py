"""State: what an operator keeps between epochs, as tables of rows.

An operator declares its tables as :class:`~streamlab.state.table.TableLayout` values
and works on :class:`~streamlab.state.table.StateTable` objects; whether these are in
memory (a notebook, a test) or versioned files (a worker) is not its business.

``store`` is the way in to the durable ones: ``TaskState`` opens, saves and confirms the
versions of a task's tables. Below it: ``durable`` a table; ``run`` and ``block`` what
it consists of; ``compaction`` and ``merging`` how that is kept small; ``version`` and
``files`` what is on disk; ``home`` and ``shared`` where; ``evolution`` what may change;
``savepoint`` what can be carried away.
"""
