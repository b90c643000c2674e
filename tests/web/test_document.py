"""The document: complete, its examples true to its schemas and to each other, its settings those the handler takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.fields import PARSERS
from tests.contract import CODES, check_answer, check_problem
from web.contract import fields as contract
from web.contract.fields import HTTP_PROBLEMS, PROBLEMS, TABLE, VERSION_PATTERN, Field
from web.contract.openapi import document
from web.settings import valid_version
from web.way.submission import STICKY

DOCUMENT = document()
# What a schema of one text cannot say without patterns that not every language has.
BEYOND_A_PATTERN = {"outputs": "each once", "slices": "not above its last", "intensity_range": "lo below hi"}


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def validate(schema: dict[str, Any], value: object) -> None:
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)


def matches(field: Field, text: str) -> bool:
    """Whether ``text``, as a query has it, is a value of the field's schema."""
    value: object = text
    if field.schema["type"] != "string":
        try:
            value = json.loads(text)
        except ValueError:
            return False
    return jsonschema.Draft202012Validator(dict(field.schema)).is_valid(value)


def values(schema: Any) -> st.SearchStrategy[object]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "string":
        return st.from_regex(schema["pattern"].replace("$", r"\Z")).filter(lambda text: len(text) <= 200)
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    return st.floats(schema["exclusiveMinimum"], schema["exclusiveMaximum"], exclude_min=True, exclude_max=True)


@given(data=st.data())
@pytest.mark.parametrize("field", TABLE, ids=lambda field: field.name)
def test_the_handler_takes_what_the_document_offers(field: Field, data: st.DataObject) -> None:
    text = str(data.draw(values(field.schema)))
    refusal = ""
    try:
        PARSERS[field.name](text)
    except ValueError as error:
        refusal = str(error)
    assert not refusal or BEYOND_A_PATTERN.get(field.name, "no") in refusal, text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[("threshold", text) for text in ("0", "1", "-0.1", "1.0001", "", "half", "0,5")],
        *[("min_lesion_pixels", text) for text in ("-1", "1.5", "", "9999999999", "many")],
        *[("outputs", text) for text in ("", "none,mask", "Mask", "mask;scan", "mask,", "all", "jpeg")],
        *[("slices", text) for text in ("", "-3", "1-", "1,2", "1-2-3", "a-b", "1234567", "none")],
        *[("intensity_range", text) for text in ("", "1", "1,2,3", "0,inf", "nan,1")],
        *[("series", text) for text in ("0", "", "-1", "1.5", "flair", "10000")],
        *[("register", text) for text in ("", "affine", "Rigid", "1")],
        *[("seg", text) for text in ("", "fractional", "BINARY")],
    ],
)
def test_the_document_refuses_what_the_handler_refuses(name: str, text: str) -> None:
    field = next(field for field in TABLE if field.name == name)
    assert not matches(field, text)
    with pytest.raises(ValueError, match="expected"):
        PARSERS[name](text)


def test_each_setting_is_offered_in_one_place() -> None:
    """A client that knows one from the query and one from a header would send both."""
    given = DOCUMENT["paths"]["/api/v1/segment"]["post"]["parameters"]
    assert [one["name"] for one in given if one["in"] == "query"] == ["model", "version", *contract.FIELDS]
    assert [one["name"] for one in given if one["in"] != "query"] == [STICKY]
    form = DOCUMENT["components"]["schemas"]["Form"]["properties"]
    assert set(form) == {contract.FILE_PART, *contract.SEQUENCE_PARTS}


@given(st.from_regex(rf"\A{VERSION_PATTERN}\Z"))
def test_versions_as_the_document_has_them(text: str) -> None:
    assert valid_version(text)


def test_every_operation_is_named_and_says_what_may_go_wrong() -> None:
    found = dict(operations())
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for place, operation in found.items():
        assert {"summary", "description"} <= set(operation), place
        assert set(operation["tags"]) <= tags, place
        assert "400" in operation["responses"], place
        for answer in operation["responses"].values():
            assert "X-Request-Id" in answer["headers"], place


def test_every_body_has_a_schema_and_bytes_are_told_from_json() -> None:
    text = json.dumps(DOCUMENT)
    assert '"schema": {}' not in text
    for place, operation in operations():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for kind, body in (pair for one in bodies for pair in one.get("content", {}).items()):
            binary = body["schema"] == {"type": "string", "format": "binary"}
            assert binary == (not kind.endswith("json") and not kind.startswith(("text/", "multipart/"))), place


def test_every_code_is_somewhere_in_the_document() -> None:
    answers = [answer for _, operation in operations() for answer in operation["responses"].values()]
    media = [one for answer in answers for one in answer.get("content", {}).values()]
    shown = {code for one in media for code in one.get("examples", ())}
    assert {*PROBLEMS, "job_not_found", "conflict"} <= shown
    segment = DOCUMENT["paths"]["/api/v1/segment"]["post"]["responses"]
    media = [one for answer in segment.values() for one in answer["content"].values()]
    told = {code for one in media for code in one.get("examples", ())}
    assert set(PROBLEMS) - {"nothing_to_explain", "explain_unavailable"} <= told
    assert DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == [*PROBLEMS, *HTTP_PROBLEMS]


def test_examples_are_of_their_schema() -> None:
    count = 0
    for place, operation in operations():
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                validate(parameter["schema"], parameter["example"])
        for status, answer in operation["responses"].items():
            for kind, media in answer.get("content", {}).items():
                for code, example in media.get("examples", {}).items():
                    validate(media["schema"], example["value"])
                    count += 1
                    if kind == contract.PROBLEM_KIND:
                        assert (example["value"]["code"], str(example["value"]["status"])) == (code, status), place
                        if code in CODES:
                            check_problem(int(status), kind, json.dumps(example["value"]), code)
    assert count > 40


def test_the_example_answer_is_what_the_example_request_asks_for() -> None:
    segment = DOCUMENT["paths"]["/api/v1/segment"]["post"]
    answer = segment["responses"]["200"]["content"]["application/json"]["examples"]["typical"]["value"]
    check_answer(json.dumps(answer))
    asked = {one["name"]: one["example"] for one in segment["parameters"] if "example" in one}
    assert asked["version"] == answer["model"]["version"]
    assert (asked["threshold"], asked["min_lesion_pixels"]) == (answer["threshold"], answer["min_lesion_pixels"])
    assert asked["outputs"] == "none"
    assert all(not one["images"] for one in answer["slices"])
    models = DOCUMENT["paths"]["/api/v1/models"]["get"]["responses"]["200"]["content"]["application/json"]
    live = models["examples"]["typical"]["value"]["versions"][0]
    assert live["version"] == answer["model"]["version"]
    assert live["card"]["threshold"] == answer["threshold"]
