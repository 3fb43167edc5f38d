"""Logs: one JSON object a line, so that a machine can read them as well."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from streamlab.errors import StreamlabError, attributes


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    Tracebacks of our own errors are left out (the message says it all), and the text
    of a driver's error is too: it can hold values of the rows it complains about.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON with ``at``, ``level``, ``logger``, ``message``."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, StreamlabError):
            line["error"] = type(error).__name__
            line |= {name: repr(value) for name, value in attributes(error).items()}
        elif error is not None and record.exc_info:
            line["error"] = type(error).__name__
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(*, level: str = "INFO", as_json: bool = True) -> None:
    """Send streamlab's logs to standard error.

    Args:
        level: Least severe level to show.
        as_json: JSON lines; plain text otherwise.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if as_json else logging.Formatter("%(levelname)s %(message)s")
    )
    logger = logging.getLogger("streamlab")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
