"""What routes ask of the request in hand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

from flask import Response, current_app, request

from web.door import Door
from web.edge.admission import too_large


def door() -> Door:
    """The door of the application that serves this request."""
    found = current_app.extensions["brainseg"]
    assert isinstance(found, Door)  # noqa: S101
    return found


def client() -> str:
    """Who asks. Raises ``unauthorized``."""
    return door().access.client({name.lower(): value for name, value in request.headers}, request.remote_addr or "")


def answer_json(body: object, status: int = 200) -> Response:
    """``body`` as JSON."""
    return Response(json.dumps(body), status, content_type="application/json")


def body() -> bytes:
    """The request's bytes, read past Flask, whose form parser would put a scan on disk."""
    size, limit = request.content_length or 0, door().settings.bounds.request_bytes
    if size > limit:
        raise too_large(limit)
    stream = request.environ["wsgi.input"]
    # waitress keeps what came until it is answered: reading would make a second copy of up to 64 MiB beside it.
    return stream.getvalue() if isinstance(stream, io.BytesIO) else bytes(stream.read(size))


def gone() -> Callable[[], bool]:
    """Whether the client hung up, as far as the server can tell."""
    told: Callable[[], bool] = request.environ.get("waitress.client_disconnected", lambda: False)
    return told
