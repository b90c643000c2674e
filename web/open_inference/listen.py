"""The gRPC port: the protocol's service and gRPC's own health service beside it. Needs the extra ``grpc``."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from web.door import Door
from web.open_inference.calls import Calls
from web.open_inference.messages import CALLS, SERVICE

LOOK_SECONDS = 2.0
SPARE = 8  # threads for health and metadata while every place is taken
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Port:
    """Listens from the start; ``number``: of the port. Raises ``OSError`` when it is taken."""

    def __init__(self, here: Door, host: str, port: int) -> None:
        bounds, calls = here.settings.bounds, Calls(here)
        self._here = here
        self._stop = threading.Event()
        threads = bounds.running + bounds.waiting + SPARE
        options = [
            ("grpc.max_receive_message_length", bounds.request_bytes), ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", threads),
        ]  # fmt: skip
        self._server = grpc.server(ThreadPoolExecutor(threads), options=options, maximum_concurrent_rpcs=threads)
        handlers = {name: calls.handler(name) for name in CALLS}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._health: Any = health.HealthServicer()
        self._tell()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.number = self._server.add_insecure_port(address)
        except RuntimeError:
            raise OSError(f"the gRPC port {port} cannot be listened on; is it taken?") from None
        self._server.start()
        threading.Thread(target=self._watch, daemon=True, name="grpc-health").start()

    def _tell(self) -> None:
        status = SERVING if self._here.readiness.report().ready else NOT_SERVING
        for service in ("", SERVICE):
            self._health.set(service, status)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self._tell()

    def end(self, seconds: float) -> None:
        """No call is taken any more; those in work have ``seconds``."""
        self._stop.set()
        self._health.enter_graceful_shutdown()
        self._server.stop(seconds).wait()
