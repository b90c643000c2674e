"""The model cards, asked of the workers once for each set of processes."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from web.health.fleet import Fleet, Version
from web.health.standing import Standings
from web.way.torchserve import TorchServe
from web.way.wire import TooLateError, UnreachableError


class Cards:
    """Safe to use from several threads."""

    def __init__(self, server: TorchServe) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._known: dict[str, tuple[frozenset[str], Mapping[str, Any]]] = {}

    def of(self, version: Version) -> Mapping[str, Any] | None:
        """The card of ``version``; None while its worker gives none, or is too busy to give one."""
        with self._lock:
            known = self._known.get(version.version)
        if known and (known[0] & version.generation or not version.ready):
            return known[1]  # a process that gave it is still there, or none is there to ask
        try:
            card = self._server.card(version.version) if version.ready else None
        except (UnreachableError, TooLateError):
            return known[1] if known else None
        if card is not None:
            with self._lock:
                self._known[version.version] = (version.generation, card)
        return card


def _order(version: Version) -> list[tuple[bool, int, str]]:
    """For sorting: numbers as numbers (9 before 10), and before words."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in version.version.split(".")]


def models_answer(model: str, fleet: Fleet, cards: Cards, standings: Standings) -> dict[str, Any]:
    """The body of ``GET /api/v1/models`` but for ``beside``: the versions, newest last, which one is the default, what
    each is and since when, and their cards."""
    roles = {version.version: standings.of(version.version, fleet.default) for version in fleet.versions}
    answer = beside_answer(model, fleet, cards)
    for one in answer["versions"]:
        one |= {"role": roles[one["version"]].role, "since": roles[one["version"]].since}
    return answer


def beside_answer(model: str, fleet: Fleet, cards: Cards) -> dict[str, Any]:
    """The same of a model beside it, whose roles nobody writes down for the front door."""
    return {
        "name": model,
        "default": fleet.default,
        "versions": [
            {
                "version": version.version,
                "default": version.version == fleet.default,
                "workers": {"wanted": version.wanted, "ready": version.ready},
                "card": cards.of(version),
            }
            for version in sorted(fleet.versions, key=_order)
        ],
    }
