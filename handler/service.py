"""The one class that knows TorchServe: it opens the model, hands every item of a batch to the pipeline, and counts."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ts.metrics.metric_type_enum import MetricTypes

from handler.answer import REFUSED_HEADER
from handler.explain.way import explain
from handler.outcome import Outcome
from handler.pipeline import Model, answer, open_model
from handler.resources import MOST_AT_ONCE, plan
from handler.types.way import cannot_explain, classify

logger = logging.getLogger(__name__)
EXPLAIN = "explain"
Item = tuple[Mapping[str, Any], Mapping[str, Any]]  # parts and headers of a request


class BrainSegService:
    """TorchServe makes one in each worker, calls :meth:`initialize` once and :meth:`handle` for each batch."""

    def __init__(self) -> None:
        self._model: Model | None = None
        self._beside = ThreadPoolExecutor(MOST_AT_ONCE - 1, "request")

    def initialize(self, context: Any) -> None:
        """Raises ``RuntimeError``, which keeps the worker from starting, when the archive's files are not those of its
        model card (any other exception would make TorchServe wait for a worker that never answers)."""
        settings: Mapping[str, Any] = (context.model_yaml_config or {}).get("brainseg", {})
        try:
            self._model = open_model(
                Path(context.system_properties["model_dir"]),
                os.environ.get("BRAINSEG_ENGINE") or settings.get("engine", "auto"),
                int(os.environ.get("BRAINSEG_THREADS") or plan().threads),
                float(settings.get("deadlineSeconds", "inf")),
            )
        except (ValueError, OSError) as error:
            raise RuntimeError(f"BrainSeg refuses to start: {error}") from error
        self._start_threads()
        engine = self._model.engine
        card = self._model.card
        logger.info("%s %s: engine %s, %d threads", card.name, card.version, engine.name, engine.threads)

    def _start_threads(self) -> None:
        """All of them, now: when memory is short none could be started, and the whole batch would fail."""
        started = threading.Barrier(MOST_AT_ONCE)
        for _ in range(MOST_AT_ONCE - 1):
            self._beside.submit(started.wait)
        started.wait()

    def handle(self, data: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """One answer an item, in the order of ``data``, all worked on at once: while the network runs for one, another
        is decoded or drawn. What is wrong with an item stays with the item.

        TorchServe's "describe with customized metadata" comes here too, alone in its batch: it gets the model card."""
        if self._model is None:
            raise RuntimeError("handle was called before initialize")
        if len(data) == 1 and context.get_request_header(0, "describe"):  # any client may send this header
            return [self._model.card.to_json().encode()]
        items = [(parts, context.get_all_request_header(index)) for index, parts in enumerate(data)]
        others = [self._beside.submit(_timed, self._model, item) for item in items[1:]]
        found = [_timed(self._model, items[0]), *(other.result() for other in others)]
        for index, (outcome, seconds) in enumerate(found):  # TorchServe's context is not made for several threads
            _reply(context, index, outcome)
            if _asks_why(items[index][1]):
                _count_explanation(context, index, _counted_as(self._model), outcome)
            else:
                _count(context, index, _counted_as(self._model), outcome, seconds)
        return [outcome.answer.body for outcome, _ in found]


def _counted_as(model: Model) -> str:
    """The version, of a classifier under a name that no segmentation has: by its counters a version is judged."""
    return f"types-{model.card.version}" if model.card.architecture.classifies else model.card.version


def _asks_why(headers: Mapping[str, Any]) -> bool:
    """TorchServe marks what comes by ``/explanations/…`` with a header, which is a client's to send too."""
    return any(name.lower() == EXPLAIN and value == "True" for name, value in headers.items())


def _timed(model: Model, item: Item) -> tuple[Outcome, float]:
    begin = time.perf_counter()
    return _work(model, item), time.perf_counter() - begin


def _work(model: Model, item: Item) -> Outcome:
    if model.card.architecture.classifies:
        return cannot_explain(item[1]) if _asks_why(item[1]) else classify(model, *item)
    return (explain if _asks_why(item[1]) else answer)(model, *item)


def _count_explanation(context: Any, index: int, version: str, outcome: Outcome) -> None:
    """Apart from the scans that were segmented: by what becomes of those a version is judged."""
    request = context.get_request_id(index)
    counter = context.metrics.get_metric("brainseg_explanations", MetricTypes.COUNTER)
    counter.add_or_update(1, [version, outcome.code], request)
    for stage, spent in outcome.seconds.items():
        histogram = context.metrics.get_metric("brainseg_stage_seconds", MetricTypes.HISTOGRAM)
        histogram.add_or_update(spent, [version, stage], request)


def _reply(context: Any, index: int, outcome: Outcome) -> None:
    reply = outcome.answer
    # A phrase or header that is not a plain ASCII string would kill the worker with the whole batch.
    context.set_response_status(code=reply.status, phrase=HTTPStatus(reply.status).phrase, idx=index)
    context.set_response_content_type(index, reply.content_type)
    for name, value in reply.headers.items():
        context.set_response_header(index, name, value)


def _count(context: Any, index: int, version: str, outcome: Outcome, seconds: float) -> None:
    """Metrics as declared in ``deploy/metrics.yaml``; an undeclared one would be dropped without a word."""
    request = context.get_request_id(index)

    def emit(name: str, kind: MetricTypes, value: float, label: str) -> None:
        context.metrics.get_metric(name, kind).add_or_update(value, [version, label], request)

    emit("brainseg_requests", MetricTypes.COUNTER, 1, outcome.code)
    for stage, spent in {**outcome.seconds, "total": seconds}.items():
        emit("brainseg_stage_seconds", MetricTypes.HISTOGRAM, spent, stage)
    if refused := outcome.answer.headers.get(REFUSED_HEADER):
        emit("brainseg_refused", MetricTypes.COUNTER, 1, refused.partition(",")[0])
    if outcome.summary is not None:
        verdict = outcome.summary.verdict
        emit("brainseg_verdicts", MetricTypes.COUNTER, 1, verdict)
        if outcome.summary.assessed:
            emit("brainseg_tumor_coverage_percent", MetricTypes.HISTOGRAM, outcome.summary.coverage_percent, verdict)
