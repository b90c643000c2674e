"""The protocol's gRPC messages, built from a table of its field numbers, so that no generated code lies here.

Needs the extra ``grpc``."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
_Field = descriptor_pb2.FieldDescriptorProto
_PARAMETERS = "map InferParameter"
# Message -> fields in the order of their numbers, which begin with 1: name and type.
TABLE: dict[str, tuple[tuple[str, str], ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": (("live", "bool"),),
    "ServerReadyRequest": (),
    "ServerReadyResponse": (("ready", "bool"),),
    "ModelReadyRequest": (("name", "string"), ("version", "string")),
    "ModelReadyResponse": (("ready", "bool"),),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (("name", "string"), ("version", "string"), ("extensions", "repeated string")),
    "ModelMetadataRequest": (("name", "string"), ("version", "string")),
    "ModelMetadataResponse": (
        ("name", "string"), ("versions", "repeated string"), ("platform", "string"),
        ("inputs", "repeated TensorMetadata"), ("outputs", "repeated TensorMetadata"),
    ),
    "TensorMetadata": (("name", "string"), ("datatype", "string"), ("shape", "repeated int64")),
    "ModelInferRequest": (
        ("model_name", "string"), ("model_version", "string"), ("id", "string"), ("parameters", _PARAMETERS),
        ("inputs", "repeated InferInputTensor"), ("outputs", "repeated InferRequestedOutputTensor"),
        ("raw_input_contents", "repeated bytes"),
    ),
    "InferInputTensor": (
        ("name", "string"), ("datatype", "string"), ("shape", "repeated int64"), ("parameters", _PARAMETERS),
        ("contents", "InferTensorContents"),
    ),
    "InferRequestedOutputTensor": (("name", "string"), ("parameters", _PARAMETERS)),
    "ModelInferResponse": (
        ("model_name", "string"), ("model_version", "string"), ("id", "string"), ("parameters", _PARAMETERS),
        ("outputs", "repeated InferOutputTensor"), ("raw_output_contents", "repeated bytes"),
    ),
    "InferOutputTensor": (
        ("name", "string"), ("datatype", "string"), ("shape", "repeated int64"), ("parameters", _PARAMETERS),
        ("contents", "InferTensorContents"),
    ),
    "InferParameter": (
        ("bool_param", "one bool"), ("int64_param", "one int64"), ("string_param", "one string"),
        ("double_param", "one double"), ("uint64_param", "one uint64"),
    ),
    "InferTensorContents": (
        ("bool_contents", "repeated bool"), ("int_contents", "repeated int32"), ("int64_contents", "repeated int64"),
        ("uint_contents", "repeated uint32"), ("uint64_contents", "repeated uint64"),
        ("fp32_contents", "repeated float"), ("fp64_contents", "repeated double"),
        ("bytes_contents", "repeated bytes"),
    ),
}  # fmt: skip
CALLS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")


def _typed(field: Any, kind: str) -> None:
    if kind in TABLE or kind.startswith("."):
        field.type, field.type_name = _Field.TYPE_MESSAGE, kind if kind.startswith(".") else f".{PACKAGE}.{kind}"
    else:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")


def _map(message: Any, name: str, kind: str) -> str:
    """A map's entry, as protobuf has it; its name."""
    entry = message.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    for number, (part, of) in enumerate((("key", "string"), ("value", kind)), 1):
        _typed(entry.field.add(name=part, number=number, label=_Field.LABEL_OPTIONAL), of)
    return f".{PACKAGE}.{message.name}.{entry.name}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="brainseg/open_inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in TABLE.items():
        message = file.message_type.add(name=name)
        for number, (field_name, words) in enumerate(fields, 1):
            *how, kind = words.split()
            several = how in (["repeated"], ["map"])
            label = _Field.LABEL_REPEATED if several else _Field.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            _typed(field, _map(message, field_name, kind) if how == ["map"] else kind)
            if how == ["one"]:
                if not message.oneof_decl:
                    message.oneof_decl.add(name="parameter_choice")
                field.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()  # of its own: a client beside us may bring the same names
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in TABLE}


MESSAGES = _classes()
