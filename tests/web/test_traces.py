"""Traces: from the front door by way of TorchServe to the stages, and nothing of it where nobody asks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from archive.programs import environment
from serving.ports import free_port
from tests.conftest import StartFront
from tests.waiting import until
from tests.web.inside import opened
from tests.web.open_inference.test_grpc import call, infer, refused
from tests.web.standin import DIED, OK, Stage, standing_in
from web.contract.examples import SEGMENTATION
from web.open_inference.listen import Port
from web.settings import Settings
from web.traces.stages import stages
from web.way.wire import Reply

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@dataclass
class Collector:
    url: str = ""
    raw: bytes = b""
    spans: list[Span] = field(default_factory=list)

    def of(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Span:
        (span,) = self.of(name)
        return span


@contextmanager
def collecting() -> Iterator[Collector]:
    here = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.raw += body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                here.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()


def attributes(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


@pytest.mark.server
def test_one_trace_leads_from_the_client_to_the_stages(start_front: StartFront, lesion: bytes) -> None:
    with collecting() as collector:
        front = start_front("--otlp", collector.url)
        until(lambda: requests.get(f"{front.url}/readyz", timeout=60).ok, "it is ready")
        reply = requests.post(
            f"{front.url}/api/v1/segment?outputs=none", data=lesion, headers={"traceparent": TRACEPARENT}, timeout=300
        )
        assert reply.status_code == 200
        front.stop()  # sends what is left
        timing = reply.json()["timing_ms"]
        door, behind = collector.one("api.segment"), collector.one("torchserve")
        inside = [collector.one(name) for name in timing]
    assert len(collector.spans) == 2 + len(timing)  # the probe is not traced
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert door.parent_span_id.hex() == PARENT
    assert behind.parent_span_id == door.span_id
    assert {span.parent_span_id for span in inside} == {behind.span_id}
    assert attributes(door)["brainseg.model_version"] == "1.0"
    for span, spent in zip(inside, timing.values(), strict=True):
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 == pytest.approx(spent, abs=0.01)
    for before, after in pairwise(inside):
        assert before.end_time_unix_nano == after.start_time_unix_nano


def test_what_a_client_says_of_itself_and_its_scan_stays_out() -> None:
    with collecting() as collector, standing_in(Stage()) as stage:
        with opened(Settings(stage.url, stage.url, otlp=collector.url)) as inside:
            sent = {"traceparent": TRACEPARENT, "X-Request-Id": "doe-jane-1970", "Authorization": "Bearer secret-key"}
            files = {"file": ("doe-jane.png", b"a scan")}
            assert requests.post(f"{inside.url}/api/v1/segment", files=files, headers=sent, timeout=60).ok
            passed = {name.lower(): value for name, value in stage.headers.items()}["traceparent"]
            stage.predictions = [DIED]
            assert requests.post(f"{inside.url}/api/v1/segment", data=b"another", timeout=60).status_code == 502
            stage.predictions = [OK]
        until(lambda: len(collector.of("api.segment")) == 2, "both are there")
        first, second = collector.of("api.segment")
        assert passed == f"00-{TRACE}-{collector.of('torchserve')[0].span_id.hex()}-01"
        assert (attributes(second)["brainseg.code"], second.status.code) == ("worker_lost", 2)
        assert len([span for span in collector.of("torchserve") if span.parent_span_id == second.span_id]) == 2
        assert first.trace_id != second.trace_id
        for word in (b"doe", b"secret", b"127.0.0.1"):
            assert word not in collector.raw
        assert {key for span in collector.spans for key in attributes(span)} == {
            *("brainseg.code", "brainseg.model_version"),
            *("http.response.status_code", "http.response.body.size"),
        }


def test_a_scan_by_grpc_is_one_trace_too(lesion: bytes) -> None:
    with collecting() as collector, standing_in(Stage([(200, "application/json", SEGMENTATION)])) as stage:
        with opened(Settings(stage.url, stage.url, otlp=collector.url)) as inside:
            port = Port(inside.door, "127.0.0.1", 0)
            try:
                call(port.number, "ModelInfer", infer(lesion), ("traceparent", TRACEPARENT))
                assert refused(port.number, infer(lesion, colour="red"))[1] == "invalid_parameter"
            finally:
                port.end(30)
            passed = {name.lower(): value for name, value in stage.headers.items()}["traceparent"]
        until(lambda: len(collector.of("grpc.ModelInfer")) == 2, "both are there")
        asked, other = collector.of("grpc.ModelInfer")
        behind, inside_it = collector.one("torchserve"), collector.one("inference")
    assert (asked.trace_id.hex(), asked.parent_span_id.hex()) == (TRACE, PARENT)
    assert (behind.parent_span_id, inside_it.parent_span_id) == (asked.span_id, behind.span_id)
    assert passed == f"00-{TRACE}-{behind.span_id.hex()}-01"
    assert attributes(asked) == {"brainseg.code": "ok", "brainseg.model_version": "1.0"}
    assert attributes(other)["brainseg.code"] == "invalid_parameter"


def test_off_nothing_is_imported_and_nothing_passed_on() -> None:
    code = """
import sys
from web.app import create_app
from web.contract.examples import SEGMENTATION
from web.open_inference.listen import Port
from web.settings import Settings
client = create_app(Settings()).test_client()
assert client.post("/api/v1/segment", data=b"scan").status_code == 503
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=300)
    with standing_in(Stage()) as stage, opened(Settings(stage.url, stage.url)) as inside:
        sent = {"traceparent": TRACEPARENT}
        assert requests.post(f"{inside.url}/api/v1/segment", data=b"scan", headers=sent, timeout=60).ok
        assert "traceparent" not in {name.lower() for name in stage.headers}


def test_a_collector_that_is_gone_costs_no_answer_and_no_end() -> None:
    with standing_in(Stage()) as stage:
        settings = Settings(stage.url, stage.url, otlp=f"http://127.0.0.1:{free_port()}")
        with opened(settings) as inside:
            assert requests.post(f"{inside.url}/api/v1/segment", data=b"scan", timeout=60).ok
        assert not inside.thread.is_alive()


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    for url in ("http://me:secret@collector:4318", "collector:4318", "http://collector/with a space"):
        with pytest.raises(ValueError, match="--otlp") as told:
            opened(Settings(otlp=url)).__enter__()
        assert "secret" not in str(told.value)


@given(body=st.binary(max_size=200))
def test_stages_are_read_off_any_answer(body: bytes) -> None:
    def read(body: bytes, kind: str = "application/json") -> list[tuple[str, float]]:
        return stages(Reply(200, {"content-type": kind}, body))

    assert read(body) == []
    assert read(b'"timing_ms": {' + body) in ([], read(b'"timing_ms": {' + body))
    said = b'{"name": "\\"timing_ms\\": {\\"decode\\": 9}", "timing_ms": {"decode": 1.5, "render": 2}, "x": 1}'
    assert read(said) == [("decode", 1.5), ("render", 2.0)]
    assert read(said, "image/png") == []
