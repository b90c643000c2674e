"""Pages of other origins: which may call the API, and how one is known that may not.

A browser sends any page's simple requests here, from inside the firewall and without asking; what gives them away are
``Sec-Fetch-Site`` and ``Origin``. What gives a proxy away are the headers in which it names its client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from web.contract.fields import FIELDS, VERSION, field_header

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
OF_OPEN = "Inference-Header-Content-Length"  # of the Open Inference Protocol, in both ways
SHOWN = (
    *("X-Request-Id", "Retry-After", "Location", OF_OPEN),
    *("X-BrainSeg-Model-Version", "X-BrainSeg-Verdict", "X-BrainSeg-Tumor-Pixels"),
)
SENT = (
    *("Authorization", "Content-Type", "Content-Encoding", "X-Request-Id", "X-Request-Key"),
    *(OF_OPEN, "Idempotency-Key", "Last-Event-ID"),
    *(field_header(name) for name in (*FIELDS, VERSION, "webhook")),
)
ASK_AGAIN_SECONDS = 600


class Origins:
    """``allowed``: scheme, host and port of each page that may call, exactly. Raises ``ValueError`` for what is no
    origin: ``*``, ``null``, a path."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(one.lower() for one in allowed)
        for one in self._allowed:
            if not _ORIGIN.fullmatch(one):
                raise ValueError(
                    f"origin {one!r}: expected scheme, host and port such as https://viewer.example:8443, exactly"
                )

    def headers(self, origin: str) -> dict[str, str]:
        """For an answer to the page at ``origin`` (empty: no page asks)."""
        if not self._allowed:
            return {}
        if origin not in self._allowed:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": ", ".join(SHOWN),
            "Vary": "Origin",
        }

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str] | None:
        """The answer to a browser that asks whether a page may send a request; None where it may not, or nobody asks
        that. ``headers``: names in lower case."""
        origin = headers.get("origin", "")
        if origin not in self._allowed or "access-control-request-method" not in headers:
            return None
        answer = self.headers(origin) | {
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            "Access-Control-Allow-Headers": ", ".join(SENT),
            "Access-Control-Max-Age": str(ASK_AGAIN_SECONDS),
        }
        if headers.get("access-control-request-private-network") == "true":
            answer["Access-Control-Allow-Private-Network"] = "true"
        return answer

    def stranger(self, headers: Mapping[str, str]) -> str | None:
        """How a request shows that neither a program on this machine nor our own page sent it; None: it does not."""
        if found := next((name for name in FORWARDED if name in headers), None):
            return f"comes through a proxy ({found})"
        origin = headers.get("origin")
        if origin in self._allowed:
            return None
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return "was sent by a page of another site (Sec-Fetch-Site)"
        if origin is not None and origin.lower() not in (
            f"{scheme}://{headers.get('host', '').lower()}" for scheme in ("http", "https")
        ):
            return "was sent by a page of another origin (Origin)"
        return None
