"""Two builds in one run: the arithmetic, and a whole short run with this checkout as both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import requests
import typer

from archive.store import ROOT
from benchmark import __main__ as benchmark
from benchmark.against import NOW, THEN, Row, lines, rows, write
from benchmark.builds import Build
from benchmark.compare import Effort, Figures, assessed, picture, stack, whole
from handler.card import HeadCrop
from handler.crop import head_box
from handler.decode import decode

TINY = Effort(1, 2, 4, 2, 3, 64, 1, 1, "1.0", (1, 2), (64, 96), (1, 2))


def figures(factor: float) -> Figures:
    """Slices cost 10 ms and 30 ms each, times ``factor``; clients double at 2 and are off the line at 4."""
    made = Figures()
    for name, value in (
        ("slice", 0.06), ("door", 0.07), ("pages", 3.4), ("forward", 0.04), ("outside", 0.018), ("pictures", 0.005),
        ("first", 0.15), ("large", 0.9), ("long", 8.0),
    ):  # fmt: skip
        made.values[name] += [value * factor, value * factor, 99.0]
    made.values["loaded"] += [17 / factor] * 3
    made.values["memory"].append(676 * factor)
    for count in (1, 10, 100):
        made.growth["slices"][count].append((0.01 + 0.03 * count) * factor)
    for clients, seconds in ((1, 0.1), (2, 0.2), (4, 0.8)):
        made.growth["clients"][clients].append(seconds * factor)
    return made


def compared() -> SimpleNamespace:
    peer = Figures()
    peer.values["slice"].append(1.2)
    peer.values["loaded"].append(1.0)
    builds = [SimpleNamespace(label=label, commit=label, default="2.0", headers=None) for label in (THEN, NOW)]
    return SimpleNamespace(figures={THEN: figures(1.0), NOW: figures(0.4)}, flask=peer, builds=builds)


def test_the_table_says_how_many_times_better_and_whether_that_is_enough() -> None:
    table = {row.name: row for row in rows(compared(), Effort())}
    one = table["one client, p50"]
    assert (one.then, one.now, one.ratio, one.reached) == (60.0, 24.0, pytest.approx(2.5), "yes")
    loaded = table["requests a second, 4 clients"]
    assert (loaded.then, loaded.now, loaded.ratio) == (17, pytest.approx(42.5), pytest.approx(2.5))
    assert table["stack of 40 pages with mask and overlay"].reached == "no"
    assert table["version 1.0, one client, p50"].reached == "aim"
    assert table["outside the forward pass"].now == pytest.approx(7.2)
    assert table["outside the forward pass"].reached == "yes"
    assert table["resident memory of a worker"].reached == "aim"
    flask = table["times as fast as the Flask peer, one client"]
    assert (flask.then, flask.now, flask.reached) == (pytest.approx(20), pytest.approx(50), "yes")
    assert Row("", None, None, None, "ms", 2, 3).reached == ""


def test_lines_are_straight_where_cost_is() -> None:
    found = {(line.what, line.build): line for line in lines(compared())}
    slices = found["slices", THEN]
    assert (slices.offset, slices.each) == (pytest.approx(0.01), pytest.approx(0.03))
    assert slices.strays == pytest.approx(0, abs=1e-9)
    assert found["slices", NOW].each == pytest.approx(0.012)
    assert found["clients", THEN].strays > 0.1
    assert ("pixels", THEN) not in found  # nothing was measured


def test_the_report_is_written(tmp_path: Path) -> None:
    both = compared()
    both.figures[THEN].failed += 3 * ["16777216 pixels: status 413"]
    text = write(both, Effort(), {"cores": 2}, tmp_path)
    assert "then: commit then, version 2.0, not answered: 16777216 pixels: status 413." in text
    assert "| one client, p50 | 60.0 ms | 24.0 ms | 2.5x | 2x | 3x | yes |" in text
    assert "| outside the forward pass | 18.0 ms | 7.2 ms | 2.5x | 9 ms | 5 ms | yes |" in text
    body = json.loads((tmp_path / "against.json").read_text())
    assert body["builds"][NOW] == "commit now, version 2.0"
    assert body["values"][THEN]["slice"] == [0.06, 0.06, 99.0]
    assert (tmp_path / "against.png").stat().st_size > 1000


def test_the_inputs_are_what_they_are_called() -> None:
    assert decode(stack(45)).slices == 45
    assert decode(picture(300)).width == 300
    crop = HeadCrop(threshold=0.1, margin=8)
    boxes = [head_box(decode(data).pixels[0] / 255.0, crop) for data in (picture(256), whole())]
    assert boxes[0].shape[1] < 256
    assert boxes[1].shape == (256, 256)


class Gated(Build):
    """Takes no phantom for a scan unless told to; with ``headers`` of None, not even then."""

    def post(self, data: bytes, headers: dict[str, str], version: str | None = None) -> requests.Response:
        body = {"verdict": "not_assessed", "slices": [{"images": {}}]}
        if self.headers and self.commit == "gated":
            body = {"verdict": "tumor_detected", "slices": [{"images": {"mask": "", "overlay": ""}}]}
        return SimpleNamespace(json=lambda: body)


def test_a_gate_that_refuses_phantoms_is_turned_off_and_said(tmp_path: Path) -> None:
    build = assessed(Gated("now", "gated", tmp_path, "", "", ""), b"")
    assert build.headers == {"X-BrainSeg-Gate": "off"}
    with pytest.raises(RuntimeError, match="no mask and overlay"):
        assessed(Gated("now", "dumb", tmp_path, "", "", ""), b"")


def test_a_folder_that_is_no_checkout_is_said(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="expected a checkout"):
        benchmark.main(tmp_path / "out", model_store=tmp_path, against=tmp_path, short=True)


@pytest.mark.server
def test_two_builds_are_served_side_by_side_and_nothing_is_left(tiny_store: Path, tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    stores = (tiny_store, shutil.copytree(tiny_store, tmp_path / "store"))
    benchmark.compare(ROOT, tmp_path / "out", TINY, stores, peer=False)
    body = json.loads((tmp_path / "out" / "against.json").read_text())
    for label in (THEN, NOW):
        values, growth = body["values"][label], body["growth"][label]
        assert len(values["slice"]) == TINY.requests
        assert all(
            min(values[name]) > 0 for name in ("outside", "forward", "first", "door", "loaded", "large", "pages")
        )
        assert values["memory"][0] > 100
        assert list(growth["slices"]) == ["1", "2", "3"]
        assert list(growth["pixels"]) == ["4096", "9216"]
        assert list(growth["clients"]) == ["1", "2"]
    assert {row["name"] for row in body["rows"]} >= {"one client, p50", "3 slices, measurements alone"}
    running = set(psutil.Process().children(recursive=True)) - before
    assert not [one for one in running if one.is_running() and "resource_tracker" not in " ".join(one.cmdline())]
