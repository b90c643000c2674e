"""The headers that go with every answer, and the request's id."""

from __future__ import annotations

import re
from uuid import uuid4

REQUEST_ID = "X-Request-Id"
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# Scripts, styles and pictures come from here and nowhere else; nothing inline, no frames, no forms that leave. The
# viewer of volumes carries its font as a data: picture.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}
NEVER_STORED = {"Cache-Control": "no-store"}


def request_id(sent: str | None) -> str:
    """The client's own id when it is safe to write into a log, else a new one."""
    return sent if sent and SAFE_ID.fullmatch(sent) else uuid4().hex
