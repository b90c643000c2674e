"""Judging and releasing, on the weights of the smoke run: they are worth nothing, but every step must be right."""

from __future__ import annotations

import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from handler.card import read_card
from scripts.commands import evaluate as command
from tests.training.conftest import NO_PROGRESS, call
from training.data.cases import find_pairs
from training.data.slices import LabelledSlice, load_slices
from training.data.split import read_split
from training.judge.calibrate import TIE, choose
from training.judge.evaluation import evaluate, to_json
from training.judge.gallery import compared, gallery
from training.judge.page import LEAK, report_page
from training.judge.predictor import LocalPredictor, SourceError, open_predictor
from training.release.card import card_of, read_checkpoint
from training.release.folder import half, write_release
from training.release.publish import Order, publish


@pytest.fixture(scope="module")
def slices(phantoms: Path) -> list[LabelledSlice]:
    return load_slices(find_pairs(phantoms).pairs[:8])


@pytest.fixture(scope="module")
def local(release: Path) -> LocalPredictor:
    with ExitStack() as keep:
        predictor = open_predictor(str(release), keep)
    assert isinstance(predictor, LocalPredictor)
    return predictor


def test_a_release_is_complete_and_says_where_it_comes_from(release: Path, smoke_run: Path) -> None:
    names = {"weights.safetensors", "model-card.json", "LICENSE", "report.json", "report.html"}
    assert {path.name for path in release.iterdir()} == names
    card, split = read_card(release), read_split(smoke_run / "split.json")
    card.weights.verify(release)
    assert tuple(card.data["test"]) == split.test
    assert tuple(card.data["train"]) == split.train
    assert card.recipe["name"] == "smoke"
    assert card.recipe["epochs_trained"] == 3
    assert card.recipe["start"] == {"kind": "encoder", "name": "none", "sha256": None}
    assert {"validation", "test", "threshold", "crop"} == set(card.metrics)
    assert card.metrics["threshold"]["chosen_on"] == "validation"
    assert "drawn by hand" in (release / "LICENSE").read_text()
    figures = {figure["name"]: figure for figure in card.metrics["test"]["figures"]}
    assert figures["dice_slice_mean"]["cases"] == len(split.test)
    assert "policy" in figures["dice_slice_mean"]


def test_choosing_sees_validation_cases_only(smoke_run: Path, phantoms: Path, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    seen: set[str] = set()
    for name in ("logits", "segment"):  # all a predictor can be asked
        original = getattr(LocalPredictor, name)

        def watched(self: LocalPredictor, item: LabelledSlice, ask=original):  # type: ignore[no-untyped-def]
            seen.add(item.pair.case)
            return ask(self, item)

        monkeypatch.setattr(LocalPredictor, name, watched)
    card = publish(Order(smoke_run / "last.ckpt", "0.1", tmp_path / "r", judge_test=False), phantoms, NO_PROGRESS)
    assert seen == set(read_split(smoke_run / "split.json").validation)
    assert "test" not in card.metrics


def test_what_is_written_is_what_was_judged(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    """A run that goes on may put its next checkpoint in the place of the one that is being judged."""
    run, out = tmp_path / "run", tmp_path / "r"
    shutil.copytree(smoke_run, run)
    began = read_checkpoint(run / "last.ckpt")
    later = torch.load(run / "last.ckpt", weights_only=True)
    for name, tensor in later["state_dict"].items():
        later["state_dict"][name] = torch.zeros_like(tensor)

    def progress(title: str, _: int) -> Callable[[], None]:
        if title.startswith("judging"):
            torch.save(later, run / "last.ckpt")
        return lambda: None

    card = publish(Order(run / "last.ckpt", "0.1", out), phantoms, progress)
    assert read_checkpoint(run / "last.ckpt").digest != began.digest == card.recipe["checkpoint"]
    weights = load_file(out / "weights.safetensors")
    for name, tensor in half(began.state).items():
        assert torch.equal(weights[name], tensor)


def test_the_released_page_holds_no_slice_and_the_local_one_does(release: Path, local: LocalPredictor,
                                                                 slices: list[LabelledSlice]) -> None:  # fmt: skip
    html = (release / "report.html").read_text()
    assert "Worst" not in html
    assert html.count("<img") == 6  # curves, precision-recall, ROC, cases, reliability, size
    assert "http" not in html
    report = evaluate(local, slices, "all", leaks=False)
    shown = report_page(report, gallery=gallery(local, slices, report.scores))
    assert "Worst" in shown


def test_colours_say_missed_extra_and_right(slices: list[LabelledSlice]) -> None:
    item = next(one for one in slices if one.tumour_pixels)
    found = np.roll(item.mask, 4, axis=1)
    picture = compared(item, found)
    missed, extra, right = item.mask & ~found, found & ~item.mask, item.mask & found
    assert (picture[missed][:, 0] > picture[missed][:, 1]).all()
    assert (picture[extra][:, 1] > picture[extra][:, 0]).all()
    assert (picture[right][:, 2] < picture[right][:, 0]).all()


def test_a_leaking_split_is_said_in_bold(local: LocalPredictor, slices: list[LabelledSlice]) -> None:
    report = evaluate(local, slices, "test", leaks=True)
    assert LEAK in report_page(report)
    assert 'class="leak"' in report_page(report)
    assert to_json(report)["split_leaks"] is True


def test_checkpoint_folder_and_archive_are_judged_alike(smoke_run: Path, slices: list[LabelledSlice],
                                                        tmp_path: Path) -> None:  # fmt: skip
    trained = read_checkpoint(smoke_run / "last.ckpt")
    split = read_split(smoke_run / "split.json")
    write_release(tmp_path / "r", trained.state, card_of(trained, split, "0.2"))
    with zipfile.ZipFile(tmp_path / "a.mar", "w") as archive:
        for name in ("model-card.json", "weights.safetensors"):
            archive.write(tmp_path / "r" / name, name)
    values = []
    for source in (smoke_run / "last.ckpt", tmp_path / "r", tmp_path / "a.mar"):
        with ExitStack() as keep:
            values.append([f.value for f in evaluate(open_predictor(str(source), keep), slices, "all", False).figures])
    assert values[0] == values[1] == values[2]


def test_other_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mar").write_bytes(b"PK\x05\x06" + bytes(18))
    with ExitStack() as keep:
        with pytest.raises(SourceError, match="expected a URL"):
            open_predictor(str(tmp_path / "nothing"), keep)
        with pytest.raises(SourceError, match="scripts/package"):
            open_predictor(str(tmp_path / "x.mar"), keep)


def test_a_server_is_asked_as_a_client_would_ask(local: LocalPredictor, slices: list[LabelledSlice]) -> None:
    """A server that answers with the handler's own service, without TorchServe."""
    import base64
    import io

    from PIL import Image

    def png(pixels: np.ndarray) -> str:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    asked: list[dict[str, str]] = []
    by_bytes = {item.pair.image.read_bytes(): item for item in slices}

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(dict(self.headers))
            item = by_bytes[self.rfile.read(int(self.headers["Content-Length"]))]
            found = local.segment(item)
            images = {"mask": png(found.mask.astype(np.uint8) * 255), "probability": png(found.steps)}
            slice_answer = {"tumor_pixels": found.measurement.tumor_pixels, "images": images,
                            "max_probability": found.measurement.max_probability}  # fmt: skip
            body = json.dumps({"slices": [slice_answer], "warnings": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with ExitStack() as keep:
            remote = open_predictor(f"http://127.0.0.1:{server.server_port}/predictions/brainseg", keep, token="secret")
            there = evaluate(remote, slices, "all", leaks=False)
    finally:
        server.shutdown()
    here = evaluate(local, slices, "all", leaks=False)
    assert [f.value for f in there.figures] == [f.value for f in here.figures]
    assert asked[0]["Authorization"] == "Bearer secret"
    assert asked[0]["X-BrainSeg-Outputs"] == "mask,probability"


def test_of_equal_thresholds_that_at_half_the_dice_is_taken(local: LocalPredictor, slices: list[LabelledSlice]) -> None:
    choices = choose([local.logits(item) for item in slices], slices, local.released_card.calibration)
    best = max(choice.score for choice in choices)
    assert choices[0].score >= best - TIE
    close = [choice for choice in choices if choice.score >= best - TIE]
    dice = max(choices, key=lambda choice: choice.score).dice
    assert dice is not None
    assert abs(choices[0].threshold - dice / 2) == min(abs(choice.threshold - dice / 2) for choice in close)


def test_the_commands_work_together(smoke_run: Path, phantoms: Path, tmp_path: Path) -> None:
    inspected = call("inspect_data", "--data", phantoms, "--out", tmp_path / "i")
    assert inspected.code == 0, inspected.error
    assert "40 pairs of 10 cases; 20 with tumour" in inspected.out
    assert json.loads((tmp_path / "i" / "inspection.json").read_text())["cases"] == 10
    judged = call("evaluate", smoke_run / "last.ckpt", "--data", phantoms, "--out", tmp_path / "e")
    assert judged.code == 0, judged.error
    assert {path.name for path in (tmp_path / "e").iterdir()} == {"report.json", "report.html"}
    wrong = call("evaluate", tmp_path / "nothing", "--data", phantoms, "--out", tmp_path / "e")
    assert wrong.code == 1
    assert "expected a URL" in wrong.error
    assert "Traceback" not in wrong.error


def test_evaluate_leaves_cores_to_others(release: Path, smoke_run: Path, phantoms: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    before, taken = torch.get_num_threads(), []

    def watched(*asked: object, **named: object) -> object:
        taken.append(named["threads"])
        raise SourceError("seen")

    try:
        for source in (release, smoke_run / "last.ckpt"):
            with ExitStack() as keep:
                opened = open_predictor(str(source), keep, threads=1)
            assert isinstance(opened, LocalPredictor)
            assert opened.engine.threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    monkeypatch.setattr(command, "open_predictor", watched)
    asked = ["--data", str(phantoms), "--out", str(tmp_path / "e"), "--threads"]
    assert CliRunner().invoke(command.app, [str(release), *asked, "1"]).exit_code == 1
    assert CliRunner().invoke(command.app, [str(release), *asked, "0"]).exit_code == 2  # before anything is opened
    assert taken == [1]
