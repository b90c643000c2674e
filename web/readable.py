"""The same answers for a person: what the API gives as JSON is a page where a browser asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, make_response, render_template, request

from web.contract.fields import NOTICE, RefusedError

PAGES = ("/api/v1/models", "/api/v1/openapi.json", "/api/v1/status", "/readyz")
KINDS = ("application/json", "text/html")
SIDES = ("test", "validation")  # of a card's metrics, the one that counts most first


def wanted() -> bool:
    """Whether the client likes HTML better than JSON, as a browser does that opens a link; ``*/*`` alone means JSON."""
    return request.path in PAGES and request.accept_mimetypes.best_match(KINDS, KINDS[0]) == KINDS[1]


def page(name: str, status: int = 200, **content: Any) -> Response:
    """``readable/NAME.html`` with ``content``."""
    return make_response(render_template(f"readable/{name}.html", notice=NOTICE, **content), status)


def problem_page(refusal: RefusedError) -> Response:
    """A refusal in words, with the status that it has as a problem."""
    response = page("problem", refusal.status, title=refusal.title, detail=refusal.detail, code=refusal.code)
    response.headers.extend({k: v for k, v in refusal.headers().items() if k != "Content-Type"})
    return response


def models_page(answer: Mapping[str, Any]) -> Response:
    """``answer``: of ``GET /api/v1/models``."""
    versions = [
        version | {"model": model["name"], "judged": _judged(version["card"])}
        for model in (answer, *answer["beside"])
        for version in reversed(model["versions"])
    ]
    return page("models", versions=versions)


def _judged(card: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The side of the card's metrics to be shown: its note and figures."""
    metrics = (card or {}).get("metrics") or {}
    sides = (metrics.get(side) or {} for side in SIDES)
    return next((side for side in sides if any("value" in one for one in side.get("figures", ()))), None)


def api_page(document: Mapping[str, Any]) -> Response:
    """``document``: the API in OpenAPI 3.1."""
    operations = [
        {"path": path, "method": method.upper(), **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "responses" in operation
    ]
    return page("api", info=document["info"], operations=operations)
