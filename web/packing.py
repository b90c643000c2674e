"""JSON goes out packed by gzip where the client asks for it: a third of the bytes of a model card, three quarters of
those of pictures in base64."""

from __future__ import annotations

import gzip

from flask import Response
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

KINDS = ("application/json", "application/problem+json")
LEAST = 1024  # bytes; below that the headers outweigh what is saved
LEVEL = 1  # base64 gets no smaller with more work, and the largest answers are base64


def pack(response: Response, accepted: str) -> None:
    """Packs ``response`` where that is worth it; ``accepted``: the request's Accept-Encoding."""
    if response.mimetype not in KINDS or response.content_encoding:
        return
    response.vary.add("Accept-Encoding")  # of a 304 too: it stands for an answer that would have had it
    if response.status_code == 304:
        return
    body = response.get_data()
    if len(body) > LEAST and parse_accept_header(accepted, Accept)["gzip"] > 0:
        response.set_data(gzip.compress(body, LEVEL, mtime=0))
        response.content_encoding = "gzip"
