"""Negotiation of the kind of answer (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.accept import KINDS, negotiate
from handler.errors import RequestError

JSON, PNG, TIFF = KINDS[:3]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, JSON),
        ("", JSON),
        (" , ", JSON),
        ("*/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON; charset=utf-8", JSON),
        ("application/*", JSON),
        ("image/png", PNG),
        ("image/tiff", TIFF),
        ("image/*", PNG),
        ("image/tiff;q=0.9, image/png;q=0.8", TIFF),
        ("image/png;q=0.5, application/json;q=0.4", PNG),
        ("image/png;q=0.5, */*;q=0.5", PNG),
        ("image/png;q=0.2, */*;q=0.5", JSON),
        ("application/json;q=0, */*", PNG),
        ("application/json;q=0, image/png;q=0, */*", TIFF),
        ("text/html, application/xhtml+xml, image/avif, image/webp, */*;q=0.8", JSON),
        ("text/html, image/png", PNG),
        ("application/json;q=0.001", JSON),
        ("image/tiff ; q=1.0 , application/json ; q=0.9", TIFF),
        ("*/*;q=0.1, image/*;q=0.5, image/png;q=0.2", TIFF),
    ],
)
def test_kind(header: str | None, kind: str) -> None:
    assert negotiate(header)[0] == kind


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        (None, (JSON,)),
        ("image/png", (PNG,)),
        ("image/*", (PNG, TIFF)),
        ("image/tiff;q=0.5, image/png", (PNG, TIFF)),
        ("image/png, */*;q=0.1", (PNG, *(kind for kind in KINDS if kind != PNG))),
        ("image/png, image/tiff;q=0", (PNG,)),
    ],
)
def test_what_would_do_instead(header: str | None, kinds: tuple[str, ...]) -> None:
    assert negotiate(header) == kinds


@pytest.mark.parametrize(
    "header", ["text/html", "image/jpeg", "application/json;q=0", "*/*;q=0", "image/*;q=0.0", "json", "application/xml"]
)
def test_not_acceptable(header: str) -> None:
    with pytest.raises(RequestError, match="application/json") as refusal:
        negotiate(header)
    assert refusal.value.code == "not_acceptable"


@given(st.text(max_size=200))
def test_any_header_is_answered_or_refused(header: str) -> None:
    try:
        kinds = negotiate(header)
    except RequestError as refusal:
        code, kinds = refusal.code, ()
    else:
        code = "ok"
    assert code == ("ok" if kinds else "not_acceptable")
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) <= set(KINDS)


@given(st.permutations([(JSON, 0.3), (PNG, 0.7), (TIFF, 0.5)]))
def test_the_order_of_the_items_does_not_matter(items: list[tuple[str, float]]) -> None:
    assert negotiate(", ".join(f"{kind};q={quality}" for kind, quality in items)) == (PNG, TIFF, JSON)
