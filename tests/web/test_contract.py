"""The front door's tables are the handler's, and it imports nothing of the handler to have them."""

from __future__ import annotations

import ast

import handler.accept
import handler.answer
import handler.errors
import handler.fields
import handler.limits
import handler.pipeline
import handler.request
import handler.trust.report
from archive.store import ROOT
from web.contract import fields as contract
from web.contract import headers, translate


def test_the_problems_are_the_handlers() -> None:
    assert {code: (p.status, p.title) for code, p in handler.errors.PROBLEMS.items()} == contract.PROBLEMS


def test_a_problem_reads_the_same_from_both() -> None:
    import json

    for code in contract.PROBLEMS:
        ours = json.loads(contract.RefusedError(code, "why").body())
        assert ours == handler.errors.RequestError(code, "why").body()


def test_fields_outputs_kinds_and_limits_are_the_handlers() -> None:
    assert tuple(handler.fields.PARSERS) == contract.FIELDS
    assert handler.fields.OUTPUTS == contract.OUTPUTS
    assert handler.trust.report.REASONS == contract.REASONS
    assert handler.answer.REFUSED_HEADER == translate.REFUSED_HEADER
    assert handler.accept.KINDS == contract.KINDS
    assert handler.request.FILE_PART == contract.FILE_PART
    assert handler.answer.NOTICE == contract.NOTICE
    assert handler.fields.LONGEST_VALUE == contract.LONGEST_VALUE
    assert handler.limits.DEFAULT_LIMITS.request_bytes == contract.REQUEST_BYTES
    assert handler.pipeline.SAFE_ID.pattern == headers.SAFE_ID.pattern
    assert contract.HEADER_PREFIX.lower() == handler.fields.HEADER_PREFIX


def test_a_fields_header_is_read_back_by_the_handler() -> None:
    headers = [(contract.field_header(name), "1") for name in contract.FIELDS]
    assert [name for name, _ in handler.fields.header_fields(headers)] == list(contract.FIELDS)


def test_the_front_door_imports_neither_handler_nor_training() -> None:
    files = sorted((ROOT / "web").rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [n for n in names if n.split(".")[0] in ("handler", "training", "scripts", "ts")], file.name
