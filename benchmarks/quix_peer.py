"""The work of a pipeline file, done by Quix Streams in an environment of its own.

Run by the peers' interpreter, which has neither streamlab nor polars::

    python quix_peer.py PIPELINE.toml KAFKA POSTGRES GROUP

It is written as its manual shows, with the defaults of the library.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

DELAYED_MINUTES = 15
COLUMNS = ("carrier", "flight", "origin", "dest", "arr_delay")


def delayed(event: dict[str, object]) -> bool:
    """Say whether a flight is delayed; a cancelled one has no delay."""
    minutes = event["arr_delay"]
    return isinstance(minutes, int) and minutes > DELAYED_MINUTES


def projected(event: dict[str, object]) -> dict[str, object]:
    """Return the columns that the other side keeps."""
    return {name: event[name] for name in COLUMNS}


def table_sink(postgres: str, table: str) -> PostgreSQLSink:
    """Return a sink into a table, all columns, append."""
    parts = urlsplit(postgres)
    return PostgreSQLSink(
        host=parts.hostname or "",
        port=parts.port or 0,
        dbname=parts.path.strip("/"),
        user=parts.username or "",
        password="",  # from the password file among the options
        table_name=table,
        **dict(parse_qsl(parts.query)),
    )


def main(file: Path, kafka: str, postgres: str, group: str) -> None:
    """Run until SIGTERM."""
    pipeline = tomllib.loads(file.read_text(encoding="utf-8"))
    application = Application(
        broker_address=kafka, consumer_group=group, auto_offset_reset="earliest"
    )
    source = application.topic(pipeline["source"]["topic"], value_deserializer="json")
    stream = application.dataframe(source)
    if "transform" in pipeline["pipeline"]:
        stream = stream.filter(delayed).apply(projected)
    sink = pipeline["sink"]
    if sink["type"] == "kafka":
        stream.to_topic(application.topic(sink["topic"], value_serializer="json"))
    else:
        stream.sink(table_sink(postgres, sink["table"]))
    application.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
