"""The page with no server behind it: its files come from a front door in this process, and a network whose answer is
known segments its scans here. Starts in a second, and a test decides what is refused, held back or broken."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Page, Route
from werkzeug.serving import WSGIRequestHandler, make_server

from archive.store import SAMPLES
from handler.card import ModelCard
from handler.explain.way import explain
from handler.pipeline import Model, answer
from web.app import create_app
from web.contract.fields import RefusedError
from web.settings import Settings

NOWHERE = "http://127.0.0.1:9"
MEASURED = ("tumor_pixels", "tumor_coverage_percent", "max_probability")
ACCEPTED: dict[str, Any] = {
    "accepted": True,
    "score": 0.9,
    "reasons": [],
    "gate": "on",
    "uncertain": False,
    "expected_dice": 0.91,
    "tumor_pixels_interval": None,
    "tumor_volume_ml_interval": None,
    "interval_level": None,
}
OF_A_SLICE = ("accepted", "score", "reasons", "uncertain", "expected_dice")


class Quiet(WSGIRequestHandler):
    """Writes no line for each file."""

    def log_request(self, *_: object) -> None:
        return


@contextmanager
def pages() -> Iterator[str]:
    """The address of the page's files."""
    app = create_app(Settings(NOWHERE, NOWHERE, samples=SAMPLES))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@dataclass
class Alone:
    """Answers the requests of a page. ``card``: of the model, for the page to show; ``beside``: another model that
    segments. ``trust``: of a scan, by digest:
    what differs from :data:`ACCEPTED`; ``slices``: those that are refused alone. ``refused``: digest -> code, once.
    ``held``: requests wait for :meth:`let_go`. ``cut``: the connection breaks."""

    model: Model
    card: Mapping[str, Any] | None = None
    trust: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    slices: dict[str, set[int]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    held: bool = False
    cut: bool = False
    beside: Model | None = None
    waiting: list[Route] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.route("**/api/v1/segment?*", self._segment)
        page.route("**/api/v1/explain?*", self._explain)
        page.route("**/api/v1/status", self._status)
        version = self.model.card.version
        known = [{"version": version, "card": self.card}]
        beside = [_listed(self.beside.card)] if self.beside else []
        models = json.dumps({"name": "brainseg", "default": version, "versions": known, "beside": beside})
        page.route("**/api/v1/models", lambda route: route.fulfill(body=models, content_type="application/json"))

    def let_go(self) -> None:
        self.held = False
        for route in self.waiting:
            self._reply(route)
        self.waiting.clear()

    def _status(self, route: Route) -> None:
        if self.cut:
            route.abort()
        else:
            body = json.dumps({"status": "ready", "reasons": [], "degraded": []})
            route.fulfill(body=body, content_type="application/json")

    def _segment(self, route: Route) -> None:
        if self.cut:
            route.abort()
        elif self.held:
            self.waiting.append(route)
        else:
            self._reply(route)

    def _explain(self, route: Route) -> None:
        """By occlusion, coarsely: a network without files has no gradients."""
        query = dict(parse_qsl(urlsplit(route.request.url).query))
        self.asked.append(query)
        coarse = {"method": "occlusion", "window": "64", "seconds": "300"}
        fields = {name: value for name, value in query.items() if name not in ("model", "version")} | coarse
        headers = {f"X-BrainSeg-{name}": value for name, value in fields.items()}
        found = explain(self._asked(query), {"body": route.request.post_data_buffer or b""}, headers).answer
        route.fulfill(status=found.status, headers={"Content-Type": found.content_type}, body=found.body)

    def _reply(self, route: Route) -> None:
        request = route.request
        scan = request.post_data_buffer or b""
        query = dict(parse_qsl(urlsplit(request.url).query))
        self.asked.append(query)
        code = self.refused.pop(digest(scan), None)
        if code:
            refusal = RefusedError(code, "as the test wants it")
            return route.fulfill(status=refusal.status, headers=refusal.headers(), body=refusal.body("an-id"))
        apart = ("model", "version", "gate")
        fields = {f"X-BrainSeg-{name}": value for name, value in query.items() if name not in apart}
        headers = {"Content-Type": "application/octet-stream", "Accept": request.headers["accept"], **fields}
        found = answer(self._asked(query), {"body": scan}, headers).answer
        body = found.body
        if found.status == 200 and request.headers["accept"] == "application/json":
            body = json.dumps(self._trusted(json.loads(body), scan, query.get("gate", "on"))).encode()
        return route.fulfill(status=found.status, headers=dict(found.headers), body=body)

    def _asked(self, query: Mapping[str, str]) -> Model:
        if not query.get("model"):
            return self.model
        assert self.beside
        assert query["model"] == self.beside.card.name
        return self.beside

    def _trusted(self, given: dict[str, Any], scan: bytes, gate: str) -> dict[str, Any]:
        """The answer as a version with a gate gives it."""
        changes = self.trust.get(digest(scan))
        if changes is None:
            return given
        trust = ACCEPTED | dict(changes) | {"gate": gate}
        whole = trust["accepted"] is False
        for one in given["slices"]:
            refused = whole or one["index"] in self.slices.get(digest(scan), set())
            one["trust"] = {name: trust[name] for name in OF_A_SLICE} | {"accepted": not refused}
            if not whole and refused:
                one["trust"]["reasons"] = ["nearly_black"]
            if refused and gate == "on":
                one |= dict.fromkeys(MEASURED)
                one["images"] = {name: data for name, data in one["images"].items() if name == "scan"}
        if whole and gate == "on":
            given |= dict.fromkeys(MEASURED) | {"verdict": "not_assessed"}
        return given | {"trust": trust}


def _listed(card: ModelCard) -> dict[str, Any]:
    """As the front door lists a model beside the segmentation."""
    version = {"version": card.version, "default": True, "workers": {"wanted": 1, "ready": 1}, "card": asdict(card)}
    return {"name": card.name, "default": card.version, "versions": [version]}


def digest(scan: bytes) -> str:
    return hashlib.sha256(scan).hexdigest()
