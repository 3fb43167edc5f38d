"""The local stack: real servers on loopback, as child processes.

Kafka (one KRaft node), PostgreSQL and on request a schema registry, from packages,
with their data under ``.streamlab/``. `streamlab up` is this module on the command
line::

    with stack.up(Path.cwd()) as local:
        print(local.kafka, local.postgres)
"""

from streamlab.errors import MissingExtra

try:
    from streamlab.stack.stack import (
        SERVERS,
        STANDARD,
        ServerState,
        Stack,
        down,
        status,
        up,
    )
except ModuleNotFoundError as error:
    if error.name not in {"filelock", "psutil"}:
        raise
    raise MissingExtra("the local stack", "stack") from error

__all__ = ["SERVERS", "STANDARD", "ServerState", "Stack", "down", "status", "up"]
