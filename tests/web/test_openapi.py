"""The served OpenAPI document is held against the running server by schemathesis, with all its checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from archive.store import SAMPLES
from prove.server import environment
from web.contract.openapi import document

pytestmark = pytest.mark.server
# That a schema is kept to does not make a scan of any bytes, nor a span of slices one that the scan has.
CONTENT = [400, 406, 413, 415, 422]
FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
CONFIG = f"""
[[operations]]
include-operation-id = "segment"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, {", ".join(map(str, CONTENT))}]

[[operations]]
include-operation-id = "classify"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, {", ".join(map(str, CONTENT))}]

[[operations]]
include-operation-id = "explain"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 504, {", ".join(map(str, CONTENT))}]
"""
schema = schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_str(CONFIG))


@schema.parametrize()
@FEW
def test_the_server_answers_as_documented(case: schemathesis.Case, door: str) -> None:
    case.call_and_validate(base_url=door, timeout=120)


@schema.include(operation_id="segment").parametrize()
@FEW
def test_a_real_scan_with_any_settings_is_answered_as_documented(case: schemathesis.Case, door: str) -> None:
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        case.body, case.media_type = (SAMPLES / "lesion.png").read_bytes(), "application/octet-stream"
    case.call_and_validate(base_url=door, timeout=120)


@pytest.mark.long  # some thousand requests, among them real scans: minutes
def test_three_hundred_examples_of_each_operation(door: str, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document()))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", "schemathesis.toml", "run"]
    command += ["openapi.json", "--url", door, "--checks", "all", "--max-examples", "300", "--continue-on-failure"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=1800, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:]
