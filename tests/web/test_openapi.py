"""The served OpenAPI document is held against the running server by schemathesis."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from archive.store import SAMPLES
from web.contract.openapi import document

pytestmark = pytest.mark.server
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance, not_a_server_error]
schema = schemathesis.openapi.from_dict(document())


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_server_answers_as_documented(case: schemathesis.Case, door: str) -> None:
    case.call_and_validate(base_url=door, checks=CHECKS, timeout=120)


@schema.include(operation_id="segment").parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_a_real_scan_with_any_settings_is_answered_as_documented(case: schemathesis.Case, door: str) -> None:
    case.body, case.media_type = (SAMPLES / "lesion.png").read_bytes(), "image/png"
    case.call_and_validate(base_url=door, checks=CHECKS, timeout=120)
