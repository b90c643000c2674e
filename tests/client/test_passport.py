"""What a replay is compared by."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from brainseg_client.passport import Passport, differences

CONTENT = {
    "input": {"file": "sha256:00"},
    "model": {"name": "brainseg", "version": "1.0", "weights": "11"},
    "settings": {"threshold": "0.5"},
    "archive": "sha256:22",
}
BEFORE = Passport(CONTENT["input"], "1.0", CONTENT["settings"], {"tumor_pixels": 3}, None, {}, "now", "key", CONTENT)


def test_the_same_again_differs_in_nothing() -> None:
    assert not differences(BEFORE, dataclasses.replace(BEFORE, issued="later"))


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("input", {"file": "sha256:99"}),
        ("model", {"name": "brainseg", "version": "2.0", "weights": "33"}),
        ("settings", {"threshold": "0.4"}),
    ],
)
def test_the_same_figures_of_another_scan_model_or_setting_are_no_replay(what: str, value: Any) -> None:
    found = differences(BEFORE, dataclasses.replace(BEFORE, content={**CONTENT, what: value}))
    assert [line.partition(":")[0] for line in found][:1] == [what]
