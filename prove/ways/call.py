"""The Open Inference Protocol over gRPC. Needs the extra ``grpc``."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc

from prove.ways.way import LOST, OK, Reply
from web.open_inference.messages import MESSAGES, SERVICE

CLIENTS = 3
# What stands for the statuses of HTTP (docs/open-inference.md); a code says which refusal it was.
STATUSES = {
    "INVALID_ARGUMENT": 400, "UNAUTHENTICATED": 401, "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500,
    "UNKNOWN": 500, "ABORTED": 502, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
BUSY = ("queue_full", "rate_limited")


class GrpcWay:
    """``ModelInfer``."""

    name = "v2 gRPC"
    kinds: tuple[str, ...] = ()

    def __init__(self, port: int, model: str = "brainseg") -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        answer = MESSAGES["ModelInferResponse"].FromString
        request = MESSAGES["ModelInferRequest"].SerializeToString
        self._infer = self._channel.unary_unary(f"/{SERVICE}/ModelInfer", request, answer)
        self._model = model
        self._pool = ThreadPoolExecutor(CLIENTS)

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        """One reply a scan, in their order."""
        return list(self._pool.map(self._one, scans))

    def _one(self, scan: bytes) -> Reply:
        request = MESSAGES["ModelInferRequest"](model_name=self._model)
        request.inputs.add(name="scan", datatype="BYTES", shape=[1])
        request.outputs.add(name="measurements")
        request.raw_input_contents.append(struct.pack("<I", len(scan)) + scan)
        while True:
            try:
                self._infer(request, timeout=600)
            except grpc.RpcError as error:
                code = str(error.details()).partition(":")[0]
                if code in BUSY:
                    time.sleep(1)
                    continue
                return Reply(STATUSES.get(error.code().name, 0), code or LOST)
            return Reply(200, OK)

    def close(self) -> None:
        """Closes the channel."""
        self._pool.shutdown()
        self._channel.close()
