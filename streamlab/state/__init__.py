"""State: what an operator keeps between epochs, as tables of rows.

An operator declares its tables as :class:`~streamlab.state.table.TableLayout` values
and works on :class:`~streamlab.state.table.StateTable` objects; whether these are in
memory (a notebook, a test) or versioned files (a worker) is not its business.
"""
