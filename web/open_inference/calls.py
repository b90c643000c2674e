"""The protocol's calls over gRPC: the same way as :mod:`web.open_inference.routes`."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import unquote

import grpc

from web.contract.fields import RefusedError
from web.contract.headers import REQUEST_ID, request_id
from web.contract.translate import REFUSED_HEADER, main_reason, problem_code
from web.door import Door
from web.log import log_request
from web.open_inference.asked import Asked, check_input, element, fields_of, wishes_of
from web.open_inference.errors import as_refusal, error_text
from web.open_inference.found import read_found
from web.open_inference.messages import MESSAGES
from web.open_inference.models import check_model, fleet_with, is_ready, submission_of
from web.open_inference.reply import KINDS, raw, shape
from web.open_inference.tensors import INPUT, NAMES, OUTPUTS, Tensor, model_metadata, server_metadata
from web.way.gate import GoneError
from web.way.submission import STICKY
from web.way.take import take

logger = logging.getLogger(__name__)
# UNAVAILABLE is what clients try again by themselves; worker_lost must not be.
STATUSES = {
    401: grpc.StatusCode.UNAUTHENTICATED, 404: grpc.StatusCode.NOT_FOUND, 429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL, 502: grpc.StatusCode.ABORTED, 503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
FREE = ("ServerLive", "ServerReady", "ServerMetadata")  # of a key


def _peer(context: Any) -> str:
    """``ipv4:127.0.0.1:50000`` -> the address."""
    return unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")


def _described(tensor: Tensor) -> Any:
    return MESSAGES["TensorMetadata"](name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


class Calls:
    """One method a call. Safe to use from several threads."""

    def __init__(self, here: Door) -> None:
        self._here = here

    def handler(self, name: str) -> Any:
        """For gRPC: the call ``name``, its refusals as statuses, counted and logged."""

        def answer(request: Any, context: Any) -> Any:
            headers = {key.lower(): value for key, value in context.invocation_metadata() if isinstance(value, str)}
            identity, began, code = request_id(headers.get(REQUEST_ID.lower())), time.perf_counter(), "ok"
            context.set_trailing_metadata(((REQUEST_ID.lower(), identity),))
            try:
                return getattr(self, f"_{name}")(request, context, headers, identity)
            except GoneError:
                code = "gone"
                context.abort(grpc.StatusCode.CANCELLED, "The client hung up.")
            except RefusedError as refusal:
                code = refusal.code
                context.abort(STATUSES.get(refusal.status, grpc.StatusCode.INVALID_ARGUMENT), error_text(refusal))
            except Exception as error:  # ours; its message may quote what came in
                code = "internal_error"
                logger.error("fault id=%s %s", identity, type(error).__name__)
                context.abort(grpc.StatusCode.INTERNAL, "internal_error: The server's log says why.")
            finally:
                self._here.metrics.count_request(f"grpc.{name}", code)
                if name not in FREE:
                    log_request(f"grpc.{name}", identity, 0, code, time.perf_counter() - began, request.ByteSize())

        return grpc.unary_unary_rpc_method_handler(
            answer, MESSAGES[f"{name}Request"].FromString, MESSAGES[f"{name}Response"].SerializeToString
        )

    def _who(self, headers: dict[str, str], context: Any) -> tuple[dict[str, str], str]:
        """What admission asks for. No page of a browser can speak plain gRPC, so its host is not looked at."""
        return {**headers, "host": "localhost"}, _peer(context)

    def _ServerLive(self, *_: Any) -> Any:  # noqa: N802
        return MESSAGES["ServerLiveResponse"](live=True)

    def _ServerReady(self, *_: Any) -> Any:  # noqa: N802
        return MESSAGES["ServerReadyResponse"](ready=self._here.readiness.report().ready)

    def _ServerMetadata(self, *_: Any) -> Any:  # noqa: N802
        return MESSAGES["ServerMetadataResponse"](**server_metadata(self._here.settings.model))

    def _ModelReady(self, request: Any, context: Any, headers: dict[str, str], _: str) -> Any:  # noqa: N802
        self._here.access.client(*self._who(headers, context))
        check_model(self._here, request.name)
        return MESSAGES["ModelReadyResponse"](ready=is_ready(self._here, request.name, request.version or None))

    def _ModelMetadata(self, request: Any, context: Any, headers: dict[str, str], _: str) -> Any:  # noqa: N802
        self._here.access.client(*self._who(headers, context))
        check_model(self._here, request.name)
        versions = [one.version for one in fleet_with(self._here, request.name, request.version or None).versions]
        told = model_metadata(request.name, versions)
        tensors = {"inputs": [_described(INPUT)], "outputs": [_described(tensor) for tensor in OUTPUTS]}
        return MESSAGES["ModelMetadataResponse"](**told | tensors)

    def _ModelInfer(self, request: Any, context: Any, headers: dict[str, str], identity: str) -> Any:  # noqa: N802
        here, began, version, code = self._here, time.perf_counter(), "none", "ok"
        upload = here.edge.admission.begin(request.ByteSize(), *self._who(headers, context))
        here.traces.begin("grpc.ModelInfer", headers.get)

        def asks(name: str) -> None:
            nonlocal version
            version = name

        try:
            here.edge.admission.grow(upload, request.ByteSize())
            check_model(here, request.model_name)
            asked = read_call(request)
            submission = submission_of(
                asked, request.model_name, request.model_version or None, headers.get(STICKY.lower(), "")
            )
            answer = take(here, submission, identity, upload.client, lambda: not context.is_active(), asks)
            if answer.status != 200:
                code = problem_code(answer)
                raise as_refusal(answer.body, answer.headers.get("Content-Type", ""))
            if refused := answer.headers.get(REFUSED_HEADER.title()):
                here.metrics.count_refused(main_reason(refused), version)
            found = read_found(answer.body, {wish.name: True for wish in asked.wishes}, asked.fields.get("slices"))
            return MESSAGES["ModelInferResponse"](
                model_name=request.model_name, model_version=found.version, id=request.id,
                outputs=[
                    MESSAGES["InferOutputTensor"](
                        name=wish.name, datatype=KINDS[wish.name], shape=shape(found, wish.name)
                    )
                    for wish in asked.wishes
                ],
                raw_output_contents=[raw(found, wish.name) for wish in asked.wishes],
            )  # fmt: skip
        except RefusedError as refusal:
            code = refusal.code
            raise
        finally:
            here.edge.admission.end(upload)
            here.metrics.observe_segment(time.perf_counter() - began, version)
            here.metrics.count_answer(version, code)
            here.traces.end(0, code, version)


def read_call(request: Any) -> Asked:
    """The scan, the fields and the outputs of a ``ModelInferRequest``. Raises ``invalid_parameter``."""
    if len(request.inputs) != 1:
        raise RefusedError("invalid_parameter", f"The request has {len(request.inputs)} inputs; expected one, 'scan'.")
    one = request.inputs[0]
    check_input(one.name, one.datatype, list(one.shape))
    if len(request.raw_input_contents) == 1:
        scan: bytes | memoryview = element(request.raw_input_contents[0])
    elif not request.raw_input_contents and len(one.contents.bytes_contents) == 1:
        scan = one.contents.bytes_contents[0]
    else:
        raise RefusedError("invalid_parameter", "Expected one element, in raw_input_contents or in bytes_contents.")
    parameters: dict[str, object] = {}
    for name, value in request.parameters.items():
        chosen = value.WhichOneof("parameter_choice")
        parameters[name] = getattr(value, chosen) if chosen else None
    wished = [output.name for output in request.outputs] or NAMES
    return Asked(scan, fields_of(parameters), wishes_of([(name, True) for name in wished]), request.id or None)
