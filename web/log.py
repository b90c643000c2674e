"""The front door's log: one line a request, as text or as JSON; a file that is appended to and rolls.

A line holds neither a file name, a key, a query nor a client's address."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

FORMATS = ("text", "json")
LEVELS = ("info", "warning", "error")
ROLL_BYTES, ROLL_FILES = 20 * 2**20, 5  # as TorchServe's
TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
logger = logging.getLogger("web")


class JsonLines(logging.Formatter):
    """An object a record: ``time`` (UTC, ISO 8601), ``level``, ``logger``, ``message``, and of a request ``route``,
    ``id``, ``status``, ``code``, ``seconds``, ``bytes``."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "request", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_request(route: str, identity: str, status: int, code: str, seconds: float, size: int) -> None:
    """The line of one request. ``identity``: its X-Request-Id; ``size``: bytes of its body that came."""
    logger.info(
        "%s id=%s status=%d code=%s seconds=%.3f bytes=%d",
        route, identity, status, code, seconds, size,
        extra={
            "request": {
                "route": route, "id": identity, "status": status, "code": code,
                "seconds": round(seconds, 3), "bytes": size,
            }
        },
    )  # fmt: skip


def set_up(form: str, path: Path | None, level: str = "info") -> None:
    """Sends all that is logged to ``path``, appended and rolled, or to standard error for None; what ends a thread or
    the process too. ``form``: one of :data:`FORMATS`; ``level``: one of :data:`LEVELS`, what is less is left out.
    Raises ``OSError``."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path is not None:
        handler = RotatingFileHandler(path, maxBytes=ROLL_BYTES, backupCount=ROLL_FILES, encoding="utf-8")
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line a request under load; the gauges say it

    def fell(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        logger.critical("the front door ends by a fault", exc_info=(kind, error, where))

    sys.excepthook = fell
    threading.excepthook = lambda told: logger.error(
        "a thread ended by a fault", exc_info=(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback)
    )
