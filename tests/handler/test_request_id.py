"""A request that the handler failed is found in the log by the id that its client was told."""

from __future__ import annotations

from typing import Any

import pytest

from handler.pipeline import answer
from prove.drawn.pictures import png
from samples.phantom import draw
from tests.handler.models import forbidden


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"X-Request-Id": "ward-7.scan_1"}, ", id=ward-7.scan_1"),
        ({"x-request-id": "a" * 64}, ", id=" + "a" * 64),
        ({}, ""),
        ({"x-request-id": "a" * 65}, ""),
        ({"x-request-id": "a\nb"}, ""),
        ({"x-request-id": "a\n"}, ""),
        ({"x-request-id": {"content-type": "text/plain"}}, ""),
    ],
)
def test_the_log_names_the_request_that_failed(
    sent: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert answer(forbidden(), {"body": png(draw(7).image)}, sent).code == "internal_error"
    (record,) = caplog.records
    assert record.getMessage() == f"a request failed inside the handler{said}"
    assert record.exc_info
