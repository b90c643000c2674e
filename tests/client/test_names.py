"""Names out of a file system, whatever they are."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainseg_client.names import cell, remark, shown


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_every_name_is_text_of_one_line_and_its_own(one: bytes, other: bytes) -> None:
    first, second = (shown(os.fsdecode(name)) for name in (one, other))
    assert first.encode("utf-8").decode("utf-8").isprintable()
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scan.png", "scan.png"),
        ("Müller 日本[red].png", "Müller 日本[red].png"),
        ("a\udcff\nb", r"a\xff\x0ab"),
        ("a\\xff", r"a\\xff"),
        ("\u202egnp.scan", r"\u202egnp.scan"),
    ],
)
def test_ordinary_names_stay(name: str, text: str) -> None:
    assert shown(name) == text


def test_no_cell_is_a_formula() -> None:
    assert [cell(text) for text in ("=1+1.png", "-a", "case/=a", "a=b")] == ["./=1+1.png", "./-a", "case/=a", "a=b"]
    assert [remark(text) for text in ("=cmd", " +1", "plain")] == ["'=cmd", "' +1", "plain"]
