"""The protocol's paths in OpenAPI 3.1. A document of its own, not a part of the API's: refusals have another form here,
and a body of JSON with tensors behind it is nothing that a schema can say, so that generators of clients would fail
over it; for these paths there are clients already."""

from __future__ import annotations

from typing import Any

from web.contract.fields import OPEN_PATH, TABLE
from web.open_inference.asked import BINARY_DATA, BINARY_OUTPUT, BINARY_SIZE
from web.open_inference.reply import LENGTH_HEADER
from web.open_inference.tensors import INPUT, NAMES, OUTPUTS, SCAN, Tensor

JSON, RAW = "application/json", "application/octet-stream"
TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
ID = {"X-Request-Id": {"description": "Of the request in the server's log.", "schema": TEXT}}
# What may be answered beside 200, and what that means.
REFUSED = {
    400: "The request is not as it has to be", 401: "A valid key is needed", 404: "No such model or version",
    413: "The scan, or its answer, is too large", 415: "The format of the scan is not supported",
    422: "The scan cannot be decoded, or is not of the kind that the model knows", 429: "Too many requests",
    500: "An error on our side", 502: "The worker died on this request", 503: "Busy or starting: try again",
    504: "The answer took too long",
}  # fmt: skip


def _object(required: tuple[str, ...], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_SHAPE = _list({"type": "integer"})
_FIELDS = {field.name: dict(field.schema) for field in TABLE if field.name != "outputs"}
_TENSOR_KINDS = {"type": "string", "enum": sorted({INPUT.datatype, *(tensor.datatype for tensor in OUTPUTS)})}
SCHEMAS: dict[str, Any] = {
    "Error": _object(("error",), error={**TEXT, "description": "code: what came, what was expected, what to do."}),
    "Health": _object(("live", "ready"), live=FLAG, ready=FLAG),
    "Server": _object(("name", "version", "extensions"), name=TEXT, version=TEXT, extensions=_list(TEXT)),
    "ModelReady": _object(("name", "live", "ready"), name=TEXT, live=FLAG, ready=FLAG, version=TEXT),
    "Model": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=TEXT,
        versions=_list(TEXT),
        platform=TEXT,
        inputs=_list(_reference("Tensor")),
        outputs=_list(_reference("Tensor")),
    ),
    "Tensor": _object(
        ("name", "datatype", "shape"), name=TEXT, datatype=_TENSOR_KINDS, shape=_SHAPE, parameters={"type": "object"}
    ),
    "Asked": _object(
        ("inputs",),
        id=TEXT,
        model_name=TEXT,
        parameters={"type": "object", "properties": _FIELDS | {BINARY_OUTPUT: FLAG}, "additionalProperties": False},
        inputs={**_list(_reference("Input")), "minItems": 1, "maxItems": 1},
        outputs=_list(_reference("Wish")),
    )
    | {"additionalProperties": False},
    "Input": _object(
        ("name", "datatype", "shape"),
        name={"type": "string", "const": SCAN},
        datatype={"type": "string", "const": INPUT.datatype},
        shape={**_SHAPE, "const": list(INPUT.shape)},
        data={**_list({**TEXT, "contentEncoding": "base64"}), "minItems": 1, "maxItems": 1},
        parameters=_object((), **{BINARY_SIZE: {"type": "integer"}}),
    ),
    "Wish": _object(
        ("name",), name={"type": "string", "enum": list(NAMES)}, parameters=_object((), **{BINARY_DATA: FLAG})
    ),
    "Answered": _object(
        ("model_name", "model_version", "outputs"),
        model_name=TEXT,
        model_version=TEXT,
        id=TEXT,
        outputs=_list(_reference("Output")),
    ),
    "Output": _object(
        ("name", "datatype", "shape"),
        name={"type": "string", "enum": list(NAMES)},
        datatype=_TENSOR_KINDS,
        shape=_SHAPE,
        data=_list({"type": ["number", "string", "null"]}),
        parameters=_object((), **{BINARY_SIZE: {"type": "integer"}}),
    ),
}


def _answers(name: str, *refused: int, **also: Any) -> dict[str, Any]:
    """200 with the schema ``name``; ``refused``: the other statuses."""
    content = {JSON: {"schema": _reference(name)}, **also}
    error = {JSON: {"schema": _reference("Error")}}
    return {
        "200": {"description": "Answered", "headers": ID, "content": content},
        **{str(one): {"description": REFUSED[one], "headers": ID, "content": error} for one in refused},
    }


def _get(identifier: str, summary: str, answers: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    free: dict[str, Any] = {} if parameters else {"security": [{}]}
    return {
        "get": {"operationId": identifier, "summary": summary, "parameters": list(parameters), **free}
        | {"responses": answers}
    }


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def _infer(identifier: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    length = {
        "name": LENGTH_HEADER, "in": "header", "schema": {"type": "integer", "minimum": 0},
        "description": "Of the JSON where tensors follow it; 0: the body is the scan and nothing else.",
    }  # fmt: skip
    binary = {RAW: {"schema": {"type": "string", "format": "binary"}}}
    answers = _answers("Answered", *REFUSED, **binary)
    answers["200"]["headers"] = ID | {LENGTH_HEADER: {"description": length["description"], "schema": TEXT}}
    return {
        "post": {
            "operationId": identifier,
            "summary": "A scan in, tensors out",
            "parameters": [*parameters, length],
            "requestBody": {"required": True, "content": {JSON: {"schema": _reference("Asked")}, **binary}},
            "responses": answers,
        }
    }


def _tensor_lines() -> str:
    def line(tensor: Tensor) -> str:
        return f"- `{tensor.name}` ({tensor.datatype}): {tensor.about}"

    return "\n".join(map(line, (INPUT, *OUTPUTS)))


def document(model: str) -> dict[str, Any]:
    """``model``: the one that this server has."""
    health = _answers("Health")
    not_ready = {"503": {**health["200"], "description": "Not ready"}}
    paths: dict[str, Any] = {
        OPEN_PATH: _get("server", "Name and extensions", _answers("Server")),
        f"{OPEN_PATH}/health/live": _get("live", "Does the front door run?", health),
        f"{OPEN_PATH}/health/ready": _get("ready", "Would a scan sent now be answered?", health | not_ready),
    }
    for suffix, place, parameters in (
        ("", "/models/{model}", (_path("model"),)),
        ("OfVersion", "/models/{model}/versions/{version}", (_path("model"), _path("version"))),
    ):
        ready = _answers("ModelReady", 401, 404)
        ready["503"] = {**ready["200"], "description": "Not ready"}
        at = f"{OPEN_PATH}{place}"
        paths[at] = _get(f"model{suffix}", "Inputs and outputs", _answers("Model", 401, 404, 503), *parameters)
        paths[f"{at}/ready"] = _get(f"modelReady{suffix}", "Is it ready?", ready, *parameters)
        paths[f"{at}/infer"] = _infer(f"infer{suffix}", *parameters)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "BrainSeg by the Open Inference Protocol",
            "version": "2",
            "description": f"Model `{model}`. Research use only. Not a medical device.\n\n{_tensor_lines()}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
