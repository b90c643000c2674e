"""What is judged: released weights, an archive, a checkpoint or a running server, all giving what a client gets."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

from exchange.session import open_session
from handler.card import CARD_FILE, ModelCard, read_card
from handler.engines import Engine, open_engine
from handler.measure import SegmentedSlice, SliceMeasurement, measure
from handler.neighbours import Rolling
from handler.predict import predict, raw_logits
from handler.preprocess import network_grid
from handler.scan import Scan
from training.data.seen import SPLIT_FILE, START_FILE
from training.data.slices import LabelledSlice
from training.data.split import Split, read_split
from training.data.stacks import Stacks
from training.fit.start import name_of
from training.release.card import Trained, card_of, read_checkpoint
from training.release.folder import write_release

SERVER_TIMEOUT_SECONDS = 120


class SourceError(ValueError):
    """The thing to be judged is none of those that can be."""


class Predictor(Protocol):
    """`name` says what is judged; `card` is None where only answers can be had."""

    name: str
    card: ModelCard | None

    def among(self, slices: Sequence[LabelledSlice]) -> Predictor:
        """The same, knowing the `slices` that those to come lie among: a network may see them together."""

    def segment(self, item: LabelledSlice) -> SegmentedSlice:
        """Probability and mask of one slice, in its own grid, as a client gets them."""


class Remembering:
    """An engine that runs each input once: choosing and judging see the same slices. 0.25 MB an input of 256x256."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.threads, self.batch, self.at_once = engine.name, engine.threads, engine.batch, 1
        self._engine = engine
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        key = hashlib.sha256(images.tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._engine.logits(images)
        return self._known[key]


class LocalPredictor:
    """Runs the handler's own stages in this process; `card` and `engine` belong to the same weights. A network that
    sees several slices is shown the stack that a slice lies in, of those it is `among`, else the slice alone."""

    def __init__(self, name: str, card: ModelCard, engine: Engine, stacks: Stacks | None = None) -> None:
        self.name = name
        self.card: ModelCard | None = card
        self.released_card = card
        self._engine, self._stacks = engine, stacks or Stacks()
        self._last: dict[str, tuple[Scan, NDArray[np.float32]]] = {}

    @property
    def engine(self) -> Engine:
        """What runs the weights."""
        return self._engine

    def with_card(self, card: ModelCard) -> LocalPredictor:
        """The same weights under another card: other calibration, threshold or smallest lesion."""
        return LocalPredictor(self.name, card, self._engine, self._stacks)

    def remembering(self) -> LocalPredictor:
        """The same, running each slice once however often it is asked for."""
        return LocalPredictor(self.name, self.released_card, Remembering(self._engine), self._stacks)

    def among(self, slices: Sequence[LabelledSlice]) -> LocalPredictor:
        if self.released_card.input.view.seen == 1:
            return self
        return LocalPredictor(self.name, self.released_card, self._engine, Stacks(slices))

    def segment(self, item: LabelledSlice) -> SegmentedSlice:
        card, (scan, at) = self.released_card, self._stacks.of(item)
        probability = self._of("probability", scan, lambda: predict(self._engine, card, scan).probabilities)[at]
        return measure(probability, 0, scan.height, scan.width, card.threshold, card.min_lesion_pixels)

    def logits(self, item: LabelledSlice) -> NDArray[np.float32]:
        """Logits on the network's grid, float32 (h, w), before calibration."""
        scan, at = self._stacks.of(item)
        return self._of("logits", scan, lambda: self._logits(scan))[at]

    def _of(self, what: str, scan: Scan, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """What was made last is kept: the slices of a stack are asked for one after the other."""
        if what not in self._last or self._last[what][0] is not scan:
            self._last[what] = scan, make()
        return self._last[what][1]

    def _logits(self, scan: Scan) -> NDArray[np.float32]:
        card, view = self.released_card, self.released_card.input.view
        window = Rolling(lambda start, stop: network_grid(scan, card.input, start, stop), scan.slices, view.around)
        found = [
            raw_logits(self._engine, card, window.of(at, at + view.kept)) for at in range(0, scan.slices, view.kept)
        ]
        return np.concatenate(found)[: scan.slices]


class ServerPredictor:
    """Asks a running server, with its own threshold and smallest lesion. `token` is TorchServe's inference key."""

    card: ModelCard | None = None

    def among(self, slices: Sequence[LabelledSlice]) -> ServerPredictor:
        return self

    def __init__(self, url: str, token: str | None) -> None:
        self.name, self._url = url, url
        self._session = open_session()
        self._headers = {"Content-Type": "application/octet-stream", "X-BrainSeg-Outputs": "mask,probability"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def segment(self, item: LabelledSlice) -> SegmentedSlice:
        reply = self._session.post(
            self._url, data=item.pair.image.read_bytes(), headers=self._headers, timeout=SERVER_TIMEOUT_SECONDS
        )
        if reply.status_code != requests.codes.ok:
            raise SourceError(f"{item.pair.name}: the server answered {reply.status_code}: {reply.text[:300]}")
        if any(warning["code"] == "no_neighbours" for warning in reply.json()["warnings"]):
            raise SourceError(
                f"{self._url}: its model looks at several slices together, and slices are sent one by one; judge its "
                "archive or release"
            )
        answer = reply.json()["slices"][0]
        if not answer["images"]:  # refused as none that its model knows: whoever sends it gets no mask
            nothing = np.zeros((item.scan.height, item.scan.width), np.uint16)
            return SegmentedSlice(nothing, nothing > 0, SliceMeasurement(0, 0, nothing.size, 0.0))
        steps, mask = (_picture(answer["images"][kind]) for kind in ("probability", "mask"))
        found = SliceMeasurement(0, answer["tumor_pixels"], mask.size, answer["max_probability"])
        return SegmentedSlice(steps, mask > 0, found)


def _picture(encoded: str) -> NDArray[np.uint16]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(np.uint16)


def open_predictor(
    source: str, keep: ExitStack, version: str = "0", token: str | None = None, threads: int | None = None
) -> Predictor:
    """A predictor for `source`: an http(s) URL of a server's predictions, an archive (.mar), a released folder, or a
    checkpoint (.ckpt) of scripts/train. It runs with `threads`, or with one for each core of the machine; of a server
    nothing can be said there. Temporary files live until `keep` is closed. Raises SourceError otherwise."""
    if source.startswith(("http://", "https://")):
        return ServerPredictor(source, token)
    path = Path(source)
    if path.suffix == ".mar" and path.is_file():
        folder = _temporary(keep)
        _unpack(path, folder)
        return _released(path.name, folder, threads)
    if path.suffix == ".ckpt" and path.is_file():
        return open_checkpoint(path, keep, version, threads=threads)
    if (path / CARD_FILE).is_file():
        return _released(path.name, path, threads)
    raise SourceError(f"{source}: expected a URL, an archive (.mar), a released folder with {CARD_FILE}, or a .ckpt")


def open_checkpoint(
    path: Path, keep: ExitStack, version: str, trained: Trained | None = None, threads: int | None = None
) -> LocalPredictor:
    """A checkpoint as it would be released: in half precision, uncalibrated. Its run's split goes in the card.
    `trained` is what the checkpoint holds, where that has been read; `threads` as for `open_predictor`."""
    folder = _temporary(keep)
    split_file = path.parent / SPLIT_FILE
    split = read_split(split_file) if split_file.is_file() else Split("case", 0, (), (), ())
    start_file = path.parent / START_FILE
    start = json.loads(start_file.read_text("utf-8")) if start_file.is_file() else None
    trained = trained or read_checkpoint(path)
    card = write_release(folder, trained.state, card_of(trained, split, version, start))
    # Reports travel: they name the run, not where on whose machine it lay.
    return _local(name_of(path), card, folder, threads)


def _released(name: str, folder: Path, threads: int | None) -> LocalPredictor:
    try:
        card = read_card(folder)
        card.weights.verify(folder)  # else the report would be of other weights than it says
    except (ValueError, OSError) as error:
        raise SourceError(f"{name}: {error}") from error
    return _local(name, card, folder, threads)


def _local(name: str, card: ModelCard, folder: Path, threads: int | None) -> LocalPredictor:
    # The reference engine: figures are of the weights, and packaging proves the other engines equal to it.
    return LocalPredictor(name, card, open_engine("torch", card, folder, threads or os.cpu_count() or 1))


def _temporary(keep: ExitStack) -> Path:
    return Path(keep.enter_context(tempfile.TemporaryDirectory(prefix="brainseg-")))


def _unpack(archive: Path, folder: Path) -> None:
    """Card and weights out of an archive; only those names are written, whatever else the archive holds."""
    try:
        with zipfile.ZipFile(archive) as content:
            (folder / CARD_FILE).write_bytes(content.read(CARD_FILE))
            weights = read_card(folder).weights.file
            (folder / weights).write_bytes(content.read(weights))
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SourceError(f"{archive}: {error}; expected an archive made by scripts/package") from error
