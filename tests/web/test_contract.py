"""The front door's tables are the handler's, and it imports nothing of the handler to have them."""

from __future__ import annotations

import ast
import json
from typing import TypeGuard

import brainseg_client.passport
import handler.accept
import handler.answer
import handler.errors
import handler.fields
import handler.limits
import handler.outcome
import handler.passport
import handler.request
import handler.trust.report
from archive.store import ROOT
from web.contract import fields as contract
from web.contract import headers, table, translate
from web.way import passports
from web.way.wire import Reply


def test_the_problems_are_the_handlers() -> None:
    assert {code: (p.status, p.title) for code, p in handler.errors.PROBLEMS.items()} == contract.PROBLEMS


def test_the_readmes_table_of_problems_is_the_codes() -> None:
    page = table.README.read_text(encoding="utf-8")
    assert table.replaced(page) == page, "run: python -m web.contract.table"


def test_which_problems_only_the_front_door_has() -> None:
    """Read off the codes that are written in the handler, but for its list of all."""
    raised: set[str] = set()
    for file in sorted(set((ROOT / "handler").rglob("*.py")) - {ROOT / "handler" / "errors.py"}):
        raised |= {node.value for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if is_code(node)}
    assert raised == set(contract.PROBLEMS) - table.FRONT_DOOR


def is_code(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and node.value in contract.PROBLEMS


def test_a_problem_reads_the_same_from_both() -> None:
    """The front door adds which request it was."""
    for code in contract.PROBLEMS:
        theirs = handler.errors.RequestError(code, "why").body()
        ours = json.loads(contract.RefusedError(code, "why").body("id-1"))
        assert ours == {**theirs, "instance": "urn:brainseg:request:id-1"}
        reply = Reply(400, {"content-type": contract.PROBLEM_KIND}, json.dumps(theirs).encode())
        assert json.loads(translate.passed_on(reply, "id-1").body) == ours


def test_fields_outputs_kinds_and_limits_are_the_handlers() -> None:
    assert tuple(handler.fields.PARSERS) == contract.FIELDS
    assert handler.fields.OUTPUTS == contract.OUTPUTS
    assert contract.VERDICTS == (handler.answer.TUMOR, handler.answer.NO_TUMOR, handler.answer.NOT_ASSESSED)
    assert handler.trust.report.REASONS == contract.REASONS
    assert handler.answer.REFUSED_HEADER == translate.REFUSED_HEADER
    assert handler.passport.KIND == contract.PASSPORT_KIND == brainseg_client.passport.KIND
    assert handler.passport.HEADER.title() == passports.HEADER
    assert handler.accept.KINDS == contract.KINDS
    assert handler.request.FILE_PART == contract.FILE_PART
    assert handler.answer.NOTICE == contract.NOTICE
    assert handler.fields.LONGEST_VALUE == contract.LONGEST_VALUE
    assert handler.limits.DEFAULT_LIMITS.request_bytes == contract.REQUEST_BYTES
    assert handler.outcome.SAFE_ID.pattern == headers.SAFE_ID.pattern
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
