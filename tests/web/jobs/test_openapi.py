"""What the document says of jobs is held against a front door that has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode

from tests.web.jobs.stage import SCAN, with_jobs
from tests.web.standin import Stage, standing_in
from web.contract.examples import SEGMENTATION
from web.contract.openapi import document

pytestmark = pytest.mark.slow  # requests are made up by the hundred
FEW = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
schema = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        standing_in(Stage([(200, "application/json", SEGMENTATION)])) as stage,
        with_jobs(stage, tmp_path_factory.mktemp("jobs") / "jobs", most=10**6) as asker,
    ):
        for identity in ("done", "5f0c9d1e2b7a4c3d8e6f"):  # the document's own example among them
            asker.put(identity)
            asker.ended(identity)
        yield asker.inside.url


@schema.include(path_regex="/jobs").parametrize()
@FEW
def test_jobs_are_answered_as_documented(case: schemathesis.Case, url: str) -> None:
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        if case.body is not None:
            case.body, case.media_type = SCAN, "application/octet-stream"
        if case.query is not None and "webhook" in case.query:
            del case.query["webhook"]  # nobody is told here
    # The document calls the stream a text, which it is to generators of clients; schemathesis wants events as objects.
    # And a scan is looked into when its job is done: that a part is none is no reason to refuse it now.
    names = ["response_schema_conformance"] if case.path.endswith("/events") else []
    names += ["negative_data_rejection"] if case.method in ("POST", "PUT") else []
    left_out = [schemathesis.checks.CHECKS.get_one(name) for name in names]
    case.call_and_validate(base_url=url, timeout=120, excluded_checks=left_out)
