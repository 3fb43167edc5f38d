"""Headless runs: notebooks with checked parameters, executed without a front end.

``run`` executes notebooks and leaves one report, ``parameters`` says what a notebook
takes, ``render`` executes a source and writes the notebook that is kept in git.
"""

from streamlab.headless.execution import Execution, Failure
from streamlab.headless.parameters import Parameter
from streamlab.headless.rendering import render
from streamlab.headless.running import Run, run
from streamlab.headless.source import parameters_of as parameters
from streamlab.headless.source import read

__all__ = [
    "Execution",
    "Failure",
    "Parameter",
    "Run",
    "parameters",
    "read",
    "render",
    "run",
]
