"""What each version is: live, a candidate, served beside the live one; and since when. ``scripts/deploy`` writes it
down in the file ``deployment.json``; without that file nothing was ever deployed, and the default is live."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from web.health.fleet import Fleet

logger = logging.getLogger(__name__)
ROLES = ("live", "candidate", "served")
_BEFORE_PROMOTION = ("copying", "starting", "gating", "canary", "shadow", "restoring")


@dataclass(frozen=True)
class Standing:
    """``role``: one of :data:`ROLES`; ``since``: UTC in ISO 8601, None where nobody knows."""

    role: str
    since: str | None

    @property
    def seconds(self) -> float | None:
        """``since`` in seconds since 1970."""
        try:
            return datetime.fromisoformat(self.since).timestamp() if self.since else None
        except ValueError:
            return None


class Standings:
    """``path``: of ``deployment.json``, which need not exist; None: nothing is ever deployed. Safe to use from several
    threads."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._known: dict[str, Standing] = {}

    def of(self, version: str, default: str | None) -> Standing:
        """The standing of ``version``. What TorchServe answers with by default is live, whatever was declared."""
        found = self._read().get(version)
        if version == default:
            return Standing("live", found.since if found else None)
        if found is None or found.role == "live":
            return Standing("served", found.since if found else None)
        return found

    def candidate(self, version: str, default: str | None) -> bool:
        """Whether ``version`` has yet to prove itself: nobody depends on it."""
        return self.of(version, default).role == "candidate"

    def samples(self, fleet: Fleet | None) -> list[tuple[dict[str, str], float]]:
        """For a gauge: labels of each version of ``fleet``, and since when, in seconds since 1970 (0: unknown)."""
        rows = []
        for version in fleet.versions if fleet else ():
            standing = self.of(version.version, fleet.default if fleet else None)
            rows.append(({"model_version": version.version, "role": standing.role}, standing.seconds or 0.0))
        return rows

    def _read(self) -> dict[str, Standing]:
        if self._path is None:
            return {}
        with self._lock:
            try:
                status = self._path.stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                if stamp != self._stamp:
                    self._known, self._stamp = parse(json.loads(self._path.read_bytes())), stamp
            except FileNotFoundError:
                self._known, self._stamp = {}, None
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("the deployment file is not readable: %s", type(error).__name__)
            return self._known


def parse(raw: Mapping[str, Any]) -> dict[str, Standing]:
    """The standings in the file's JSON, by version. Raises ``KeyError`` or ``TypeError`` for another form."""
    known = {one["version"]: Standing("served", str(one["since"])) for one in raw["served"]}
    change = raw.get("change")
    if change and change["phase"] in _BEFORE_PROMOTION:
        known[change["subject"]["version"]] = Standing("candidate", str(change["began"]))
    known[raw["live"]["version"]] = Standing("live", str(raw["live"]["since"]))
    return known
