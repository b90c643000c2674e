"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP; the only module that imports it.

Attributes are the route, codes, sizes and versions: no header, file name, key, address or X-Request-Id of a client."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from exchange.session import open_session
from web.traces.spans import Header, Replied
from web.traces.stages import stages
from web.way.wire import Reply

PATH = "/v1/traces"
SEND_SECONDS, END_SECONDS = 5.0, 3.0
QUEUE = 2048  # spans that wait; what is beyond is dropped


class Exported:
    """Safe to use from several threads, each with a request of its own."""

    def __init__(self, url: str, build: str) -> None:
        if not re.fullmatch(r"https?://[^/\s@]+(/[^\s@]*)?", url):
            raise ValueError(f"--otlp {url.rpartition('@')[2]!r}: expected http://HOST:PORT, without name and password")
        endpoint = url if url.rstrip("/").count("/") > 2 else url.rstrip("/") + PATH
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS, session=open_session())
        resource = Resource.create({"service.name": "brainseg", "service.version": build})
        # At the end of the process it would wait for a collector that is gone; close() waits for a bounded time.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUE))
        self._tracer = self._provider.get_tracer("brainseg", build)
        self._carried = TraceContextTextMapPropagator()
        self._span: ContextVar[Span | None] = ContextVar("span", default=None)

    def begin(self, route: str, header: Header) -> None:
        carrier = {name: value for name in ("traceparent", "tracestate") if (value := header(name))}
        span = self._tracer.start_span(route, self._carried.extract(carrier), SpanKind.SERVER)
        self._span.set(span)

    def end(self, status: int, code: str, version: str) -> None:
        span = self._span.get()
        if span is None:
            return
        self._span.set(None)
        span.set_attribute("brainseg.code", code)
        span.set_attribute("brainseg.model_version", version)
        if status:
            span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    @contextmanager
    def asking(self) -> Iterator[tuple[Mapping[str, str], Replied]]:
        above = self._span.get()
        if above is None:  # a probe
            yield {}, lambda _reply: None
            return
        span = self._tracer.start_span("torchserve", trace.set_span_in_context(above), SpanKind.CLIENT)
        inside, headers = trace.set_span_in_context(span), dict[str, str]()
        self._carried.inject(headers, inside)

        def replied(reply: Reply) -> None:
            """The stages' lengths are the handler's; where they lie is ours: one after the other, up to the reply."""
            span.set_attribute("http.response.status_code", reply.status)
            span.set_attribute("http.response.body.size", len(reply.body))
            found = stages(reply)
            at = time.time_ns() - int(sum(spent for _, spent in found) * 1e6)
            for name, spent in found:
                stage = self._tracer.start_span(name, inside, start_time=at)
                at += int(spent * 1e6)
                stage.end(at)

        try:
            yield headers, replied
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    def close(self) -> None:
        ender = threading.Thread(target=self._provider.shutdown, daemon=True, name="traces-end")
        ender.start()
        ender.join(END_SECONDS)
