"""The engine of a release: each computes what PyTorch computes, the fastest is taken, and what cannot be converted
falls back with a line that says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from archive import convert
from archive.convert import add_engines, told
from archive.engines import measure as measuring
from archive.engines.convert import CONVERTERS, ConversionError
from archive.engines.measure import Speed, fastest
from archive.store import ROOT
from handler import engines
from handler.card import Architecture, FileRecord, HeadCrop, InputSpec, ModelCard, read_card
from handler.engines import ENGINES, Engine, automatic, open_engine
from handler.network import build
from handler.predict import predict_slices
from handler.resources import Plan
from tests.tiny import TINY
from training.release.folder import write_release

pytestmark = pytest.mark.slow
CONVERTED = tuple(CONVERTERS)


@pytest.fixture(autouse=True)
def on_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "plan", lambda: Plan(1, 2))


def release(folder: Path, architecture: Architecture = TINY, seed: int = 3) -> ModelCard:
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    card = ModelCard("brainseg", "9.0", FileRecord("w", "", 0), architecture, InputSpec(64, 64), crop=HeadCrop(0.1, 0))
    return write_release(folder, build(architecture).state_dict(), card)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A release packaged for each engine by name."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "plan", lambda: Plan(1, 2))
        for name in ENGINES:
            found[name] = tmp_path_factory.mktemp(name) / "release"
            add_engines(release(found[name]), found[name], name).write(found[name])
    return found


def stack(slices: int, side: int = 64) -> NDArray[np.float32]:
    """Heads of many sizes, brighter than the crop's threshold, so that boxes differ."""
    images = np.zeros((slices, side, side, 3), np.float32)
    drawn = np.random.default_rng(5)
    for image in images:
        edge = int(drawn.integers(0, side // 2 - 4))
        image[edge : side - edge, edge // 2 :] = drawn.random((side - 2 * edge, side - edge // 2, 3), np.float32) + 0.2
    return np.clip(images, 0, 1)


def test_what_the_card_says(folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        card = read_card(folder)
        assert card.serving["engine"] == name
        assert card.serving["chosen"] == "named"
        assert list(card.engines) == ([] if name == "torch" else [name])
        assert automatic(card) == name
        if name != "torch":
            assert card.parity[name]["max_probability_difference"] < 1e-4


@pytest.mark.parametrize("name", CONVERTED)
def test_a_file_that_is_not_the_cards_is_refused(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    card = read_card(folders[name])
    for record in card.engines[name]:
        (tmp_path / record.file).write_bytes((folders[name] / record.file).read_bytes() + b"\0")
    with pytest.raises(ValueError, match="changed or swapped"):
        open_engine(name, card, tmp_path, 1)
    with pytest.raises(ValueError, match=f"package the release again with --engine {name}"):
        open_engine(name, card.with_changes(engines={}), folders[name], 1)


@pytest.mark.parametrize("name", ENGINES)
def test_a_slice_is_the_same_alone_and_in_a_stack(name: str, folders: dict[str, Path]) -> None:
    """To the last bit: who sends a volume slice by slice gets the masks of the volume."""
    card = read_card(folders[name])
    engine = open_engine(name, card, folders[name], 2)
    images = stack(9)
    together, _ = predict_slices(engine, card, images)
    for image, found in zip(images, together, strict=True):
        np.testing.assert_array_equal(predict_slices(engine, card, image[None])[0][0], found)


@pytest.mark.parametrize("name", CONVERTED)
def test_sides_that_do_not_fit_are_refused(name: str, folders: dict[str, Path]) -> None:
    engine = open_engine(name, read_card(folders[name]), folders[name], 1)
    with pytest.raises(ValueError, match="divisible by 32"):
        engine.logits(np.zeros((1, 3, 64, 65), np.float32))
    assert engine.logits(np.zeros((2, 3, 96, 64), np.float32)).shape == (2, 96, 64)


def test_auto_measures_all_and_keeps_one(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    card = add_engines(release(folder, TINY), folder)
    assert set(card.serving["milliseconds"]) == set(ENGINES)
    assert all(speed["lone"] > 0 and speed["stack"] > 0 for speed in card.serving["milliseconds"].values())
    assert (card.serving["chosen"], card.serving["left_out"], card.serving["threads"]) == ("measured", {}, 2)
    kept = {record.file for records in card.engines.values() for record in records}
    assert kept == {path.name for path in folder.iterdir()} - {"model-card.json", "weights.safetensors"}
    (line,) = told(card)
    assert line.startswith(f"engine {card.serving['engine']}, measured (ms a slice alone, in a stack: onnxruntime ")


def test_the_fastest_is_taken_and_the_first_of_equals() -> None:
    speeds = {"onnxruntime": Speed(30, 30), "ncnn": Speed(60, 20), "openvino": Speed(29, 30), "torch": Speed(70, 70)}
    assert fastest(speeds) == "onnxruntime"
    assert fastest({**speeds, "openvino": Speed(20, 30)}) == "openvino"
    assert fastest({"torch": Speed(1, 1)}) == "torch"
    # Twice the memory for a tenth of the time is not worth it, for a third it is.
    assert fastest({"onnxruntime": Speed(28, 28), "ncnn": Speed(25, 25)}) == "onnxruntime"
    assert fastest({"onnxruntime": Speed(28, 28), "ncnn": Speed(19, 19)}) == "ncnn"


class Busy:
    """An engine on a machine with other work: ``at_best`` ms a slice, twice that but in a few of ``quiet`` calls."""

    threads = batch = at_once = 1

    def __init__(self, name: str, at_best: float, quiet: int) -> None:
        self.name, self.at_best, self.quiet, self.calls = name, at_best, quiet, 3

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls += 1
        return np.zeros(images.shape[:1] + images.shape[2:], np.float32)


def test_chance_does_not_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The faster engine has a quiet moment in one round of seven only."""

    def timed(engine: Busy, _card: object, images: NDArray[np.float32]) -> float:
        engine.calls += 1
        return len(images) * engine.at_best / 1e3 * (1 if engine.calls % engine.quiet < 4 else 2)

    monkeypatch.setattr(measuring, "_timed", timed)
    monkeypatch.setattr(measuring, "predict_slices", lambda *_, **__: None)
    rivals = [Busy("ncnn", 30, 4), Busy("onnxruntime", 20, 14), Busy("torch", 99, 4)]
    found = measuring.measure(ModelCard("b", "1", FileRecord("w", "", 0), TINY), rivals)
    assert fastest(found) == "onnxruntime"
    assert found["onnxruntime"] == Speed(20, 20)
    assert rivals[2].calls == 3 + 2 * measuring.FEWEST_ROUNDS  # it had no chance any more


class Unknown(torch.nn.Module):
    """Something that neither converter knows."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.linalg.matrix_exp(images[:, :1, :32, :32] * 0).mean() + images[:, :1]


def test_what_cannot_be_converted_falls_back_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "release"
    card = release(folder, TINY)

    def refuse(card: ModelCard, folder: Path) -> tuple[FileRecord, ...]:
        raise ConversionError("pnnx does not know for ncnn: F.odd")

    monkeypatch.setitem(CONVERTERS, "ncnn", refuse)
    found = add_engines(card, folder)
    assert found.serving["left_out"] == {"ncnn": "pnnx does not know for ncnn: F.odd"}
    assert told(found)[0] == "engine left out: ncnn: pnnx does not know for ncnn: F.odd"
    with pytest.raises(ConversionError, match="engine ncnn cannot run this network: pnnx does not know"):
        add_engines(card, folder, "ncnn")
    for name in CONVERTERS:
        monkeypatch.setitem(CONVERTERS, name, refuse)
    found = add_engines(card, folder)
    assert found.serving["engine"] == "torch"
    assert found.engines == {}
    assert automatic(found) == "torch"


def test_the_converters_themselves_say_what_they_do_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "release"
    card = release(folder, TINY)
    monkeypatch.setattr("archive.engines.convert.load", lambda card, folder: Unknown())
    with pytest.raises(ConversionError, match=r"could not export the network as ONNX: .*matrix_exp"):
        CONVERTERS["onnxruntime"](card, folder)
    # pnnx writes down what it does not know; ncnn then cannot load it, or computes something else.
    with pytest.raises(ConversionError, match="engine ncnn cannot run this network"):
        add_engines(card, folder, "ncnn")


def test_an_engine_that_computes_something_else_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "release"
    card = release(folder, TINY)
    other = release(tmp_path / "other", TINY, seed=4)
    real = CONVERTERS["onnxruntime"]

    def wrong(card: ModelCard, folder: Path) -> tuple[FileRecord, ...]:
        records = real(other, tmp_path / "other")
        for record in records:
            (folder / record.file).write_bytes((tmp_path / "other" / record.file).read_bytes())
        return records

    monkeypatch.setitem(CONVERTERS, "onnxruntime", wrong)
    found = add_engines(card, folder)
    assert "differs from torch" in found.serving["left_out"]["onnxruntime"]
    assert "onnxruntime" not in found.serving["milliseconds"]


def test_engines_that_are_not_there(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without an extra serves what was packaged with it, by PyTorch."""
    card = read_card(folders["openvino"])
    folder = tmp_path / "release"
    for module in (engines, convert):
        monkeypatch.setattr(module, "installed", lambda name: name not in ("openvino", "ncnn"))
    assert automatic(card) == "torch"
    with pytest.raises(ValueError, match="Install openvino, or take auto"):
        open_engine("openvino", card, folders["openvino"], 1)
    with pytest.raises(ValueError, match="Install ncnn, or take auto"):
        add_engines(release(folder, TINY), folder, "ncnn")
    with pytest.raises(ValueError, match="expected one of auto, onnxruntime"):
        add_engines(release(folder, TINY), folder, "tensorrt")


def test_separable_convolutions_and_other_encoders(tmp_path: Path) -> None:
    """EfficientNet's padding depends on the input's size; its convolutions are depthwise."""
    folder = tmp_path / "release"
    card = release(folder, Architecture(encoder="tu-tf_efficientnet_lite0", decoder_channels=(32, 16, 16, 8, 8)))
    for name in CONVERTED:
        assert add_engines(card, folder, name).parity[name]["max_probability_difference"] < 1e-4


GUARDED = """
import json, os, sys
seen = []

def guard(event, arguments):
    calls = ("subprocess.Popen", "os.posix_spawn", "os.system")
    if event == "subprocess.Popen" and str(arguments[0]).endswith("/ldconfig"):
        return  # where CUDA's own Python package is installed, PyTorch looks for a library by it
    if event.split(".")[0] in ("socket", "urllib", "http") or event in calls:
        seen.append(f"{event} {arguments}")
        raise RuntimeError(f"{event} is forbidden")

from pathlib import Path
import numpy as np
import handler.predict
from handler.card import read_card
from handler.engines import open_engine
sys.addaudithook(guard)
folder = Path(sys.argv[2])
engine = open_engine(sys.argv[1], read_card(folder), folder, 2)
engine.logits(np.zeros((2, 3, 64, 64), np.float32))
sockets = [link for fd in os.listdir("/proc/self/fd") if (link := _read(fd)).startswith("socket:")]
print(json.dumps({"seen": seen, "sockets": sockets, "telemetry": sys.modules.get("openvino_telemetry") is not None}))
""".replace(
    "from pathlib import Path\n",
    """from pathlib import Path

def _read(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""

""",
)


@pytest.mark.parametrize("name", ENGINES)
def test_no_engine_phones_home(name: str, folders: dict[str, Path]) -> None:
    """Started and asked in a process where Python may open no socket and start no program, in which no library's own
    code has opened one either, and OpenVINO's telemetry was not imported."""
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, name, str(folders[name])], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"seen": [], "sockets": [], "telemetry": False}


def test_the_guard_sees_a_call() -> None:
    """Else the test above could not fail."""
    code = GUARDED.replace("engine = open_engine", "import socket; socket.socket(); engine = open_engine")
    done = subprocess.run(
        [sys.executable, "-c", code, "torch", "."], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "is forbidden" in done.stderr


SHAPES = """
import itertools, sys
from pathlib import Path
import numpy as np
from handler.card import read_card
from handler.engines import open_engine

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

folder = Path(sys.argv[2])
engine = open_engine(sys.argv[1], read_card(folder), folder, 2)
engine.logits(np.zeros((1, 3, 256, 256), np.float32))
before = resident()
for sides in itertools.product(range(32, 257, 32), repeat=2):
    engine.logits(np.zeros((1, 3, *sides), np.float32))
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what a process takes is read in /proc")
@pytest.mark.parametrize("name", [name for name in CONVERTED if name != "torch"])
def test_heads_of_all_sizes_do_not_fill_the_memory(name: str, folders: dict[str, Path]) -> None:
    """64 shapes of the head's box. OpenVINO as it comes keeps 316 MiB for them, and 154 as it is set here."""
    done = subprocess.run(
        [sys.executable, "-c", SHAPES, name, str(folders[name])], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 230, done.stdout


def test_protocol(folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        engine: Engine = open_engine(name, read_card(folder), folder, 2)
        assert (engine.name, engine.threads) == (name, 2)
        assert engine.at_once in (1, 2)
