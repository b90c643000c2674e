"""The application: the routes, one form for every error, the headers of every answer."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from web.api import api
from web.contract.fields import HEALTH_PATHS, RefusedError
from web.contract.headers import NEVER_STORED, REQUEST_ID, SECURITY, request_id
from web.contract.translate import REFUSED_HEADER, main_reason
from web.door import open_door
from web.explain.routes import explanations
from web.incoming import door
from web.jobs.entrance import JOBS, open_jobs
from web.jobs.routes import jobs
from web.log import log_request
from web.open_inference.errors import is_open, written
from web.open_inference.routes import open_inference
from web.packing import pack
from web.page import page
from web.readable import PAGES, problem_page, wanted
from web.settings import Settings
from web.types.routes import types

logger = logging.getLogger(__name__)
TAKE_SCANS = ("api.segment", "open.infer")


def create_app(settings: Settings) -> Flask:
    """The front door as a WSGI application. Raises ``OSError`` or ``ValueError`` for unusable API keys, ``StartError``
    for a folder of jobs that cannot be used."""
    app = Flask(__name__)
    app.extensions["brainseg"] = here = open_door(settings)
    app.extensions[JOBS] = open_jobs(here)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False  # no redirects: they would go to whatever host the request names
    app.register_blueprint(api)
    app.register_blueprint(explanations)
    app.register_blueprint(page)
    app.register_blueprint(open_inference)
    app.register_blueprint(jobs)
    app.register_blueprint(types)
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(RefusedError, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _fault)
    return app


def _begin() -> Response | None:
    g.request_id = request_id(request.headers.get(REQUEST_ID))
    g.began = time.perf_counter()
    g.code = "ok"
    g.version = "none"
    if request.endpoint and request.endpoint in TAKE_SCANS:
        door().traces.begin(request.endpoint, request.headers.get)
    if request.method != "OPTIONS" or request.url_rule is None:
        return None
    response = current_app.make_default_options_response()
    response.status_code = 204
    if request.path.startswith("/api/") or is_open(request.path):
        asked = {name.lower(): value for name, value in request.headers}
        response.headers.update(door().origins.preflight(asked) or {})
    return response


def _finish(response: Response) -> Response:
    """Adds headers, counts, and logs one line, but for what asks every few seconds."""
    here = door()
    response.headers[REQUEST_ID] = g.request_id
    response.headers.update(here.origins.headers(request.headers.get("Origin", "")))
    if request.path in PAGES:
        response.vary.add("Accept")
    pack(response, request.headers.get("Accept-Encoding", ""))
    response.headers.extend({k: v for k, v in SECURITY.items() if k not in response.headers})
    route = request.endpoint or "none"
    if route != "static" and "Cache-Control" not in response.headers:
        response.headers.extend(NEVER_STORED)
    seconds = time.perf_counter() - g.began
    code = g.code if g.code != "ok" or response.status_code < 400 else f"status_{response.status_code}"
    here.metrics.count_request(route, code)
    if route in TAKE_SCANS:
        here.metrics.observe_segment(seconds, g.version)
        here.metrics.count_answer(g.version, code)
        here.traces.end(response.status_code, code, g.version)
        if refused := response.headers.get(REFUSED_HEADER):
            here.metrics.count_refused(main_reason(refused), g.version)
    if request.path not in HEALTH_PATHS and route != "static":
        log_request(route, g.request_id, response.status_code, code, seconds, request.content_length or 0)
    return response


def _problem(refusal: RefusedError) -> Response:
    g.code = refusal.code
    if wanted() and not is_open(request.path):
        return problem_page(refusal)
    headers, body = written(refusal, request.path, g.request_id)
    return Response(body, refusal.status, headers)


def _refused(refusal: RefusedError) -> Response:
    return _problem(refusal)


def _http_error(error: HTTPException) -> Response:
    """Flask's own: no such path, wrong method."""
    if error.code == 405:
        response = _problem(RefusedError("method_not_allowed", "GET /api/v1/openapi.json lists what is allowed where."))
        response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return response
    if error.code == 404:
        return _problem(
            RefusedError("not_found", "There is nothing at this path; GET /api/v1/openapi.json lists the paths.")
        )
    return _problem(RefusedError("bad_request", f"The request was refused with status {error.code}."))


def _fault(error: Exception) -> Response:
    """Ours. The message may quote what came in, so the log gets the type and the place only."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
    logger.error("fault id=%s %s at %s", g.request_id, type(error).__name__, where)
    if isinstance(error, MemoryError):
        return _problem(RefusedError("out_of_memory", "The front door has not enough memory left; try again later."))
    return _problem(RefusedError("internal_error", "The request could not be answered; the server's log says why."))
