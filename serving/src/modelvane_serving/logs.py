"""One JSON object a line on standard error, for the program's own loggers and those of its libraries.

Never the caller's data, never a credential: callers of the logger pass names, counts and types, not values.
"""

import json
import logging
import sys
import time


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON; fields given by `extra={"fields": {...}}` become keys of the object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            entry.update(fields)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure_logging() -> None:
    """Send every logger and every Python warning through one handler."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # uvicorn's start and stop lines say what ours say; its errors stay.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # A library's debug of the request or its headers would be the caller's data.
    for name in ("urllib3", "botocore", "boto3", "s3transfer"):
        logging.getLogger(name).setLevel(logging.WARNING)
