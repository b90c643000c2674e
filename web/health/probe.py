"""A known scan sent through TorchServe, and whether what came back is right."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

from web.contract.fields import NOT_ASSESSED
from web.health.cards import Cards
from web.health.fleet import Version
from web.way.submission import Submission
from web.way.torchserve import TorchServe

SAMPLE = "lesion.png"
SECONDS = 60.0
SLACK_SHARE, SLACK_PIXELS = 0.02, 20  # engines and processors differ in the last bits, so near the edge of a lesion


class ProbeError(Exception):
    """The answer to the probe was not right; the message says how."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def blank_scan(side: int = 64) -> bytes:
    """A grey PNG with a ramp, for a server without samples: it shows that predictions come, not that they are right."""
    rows = b"".join(b"\0" + bytes(range(0, 4 * side, 4)) for _ in range(side))
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


class Probe:
    """``samples``: the folder with :data:`SAMPLE`; None or without it: a blank scan is sent."""

    def __init__(self, server: TorchServe, cards: Cards, samples: Path | None) -> None:
        self._server = server
        self._cards = cards
        path = samples / SAMPLE if samples else None
        self._scan = path.read_bytes() if path and path.is_file() else blank_scan()

    def run(self, version: Version) -> None:
        """Raises :class:`ProbeError`, or the refusals of :meth:`web.way.torchserve.TorchServe.predict`."""
        asked = Submission(self._scan, {"outputs": "none"}, "application/json", version.version)
        reply = self._server.predict(asked, f"probe-{uuid4().hex[:12]}", SECONDS, lambda: None)
        if reply.status != 200:
            raise ProbeError(f"status {reply.status}")
        try:
            answer = json.loads(reply.body)
            pixels, answered = answer["tumor_pixels"], str(answer["model"]["version"])
            # The model's gate gives no mask of what is no brain, such as the blank scan.
            found = None if pixels is None and answer["verdict"] == NOT_ASSESSED else int(pixels)
        except (ValueError, KeyError, TypeError):
            raise ProbeError("the answer is not the contract's") from None
        if answered != version.version:
            raise ProbeError(f"version {answered[:40]} answered")
        self._compare(found, self._known(version))

    def _known(self, version: Version) -> dict[str, Any] | None:
        card = self._cards.of(version) or {}
        digest = hashlib.sha256(self._scan).hexdigest()
        for known in card.get("known_answers") or ():
            if isinstance(known, dict) and digest in str(known.get("sha256", "")):
                return known
        return None

    def _compare(self, found: int | None, known: dict[str, Any] | None) -> None:
        if known is None or "tumor_pixels" not in known:
            return
        expected = int(known["tumor_pixels"])
        if found is None or abs(found - expected) > max(SLACK_PIXELS, SLACK_SHARE * expected):
            told = "no mask" if found is None else f"{found} tumour pixels"
            raise ProbeError(f"{told} on the known scan; its model card says {expected}")
