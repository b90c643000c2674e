"""The viewer that is vendored: as published, and given packed or not."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from web.app import create_app
from web.settings import Settings

PLACE = Path(__file__).parents[2] / "web" / "static" / "vendor"
# Of dist/index.js in the npm package @niivue/niivue 0.69.0.
PUBLISHED = "d6c2be4feb1ad53b2ac76b4196da8d8fd2263b662b511c55ca0fd127eb6a6532"


def test_the_viewer_is_as_published() -> None:
    content = gzip.decompress((PLACE / "niivue-0.69.0.js.gz").read_bytes())
    assert hashlib.sha256(content).hexdigest() == PUBLISHED
    assert "BSD 2-Clause" in (PLACE / "niivue-LICENSE.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, br", True), ("identity", False)])
def test_the_viewer_goes_out_as_the_browser_takes_it(accepted: str, packed: bool) -> None:
    client = create_app(Settings("http://127.0.0.1:9", "http://127.0.0.1:9")).test_client()
    reply = client.get("/static/vendor/niivue-0.69.0.js", headers={"Accept-Encoding": accepted})
    assert reply.status_code == 200
    assert reply.mimetype == "text/javascript"
    assert (reply.headers.get("Content-Encoding") == "gzip") is packed
    content = gzip.decompress(reply.data) if packed else reply.data
    assert hashlib.sha256(content).hexdigest() == PUBLISHED
