"""What a network says of cases that it has not seen: the only ones that tell how far off it can be.

A released network that was refitted has seen all cases but those that judge. So witnesses stand in for it: networks of
the same training that left cases out, such as its twin, earlier releases, or the runs of ``scripts/train --fold``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import Calibration, ModelCard
from handler.files import write_atomic
from handler.trust.levels import Levels, levels_of
from training.data.cases import Pair
from training.data.seen import cases_seen_by
from training.data.slices import load_slices
from training.judge.calibrate import fit_calibration
from training.judge.predictor import LocalPredictor, SourceError, open_predictor

FORMAT = 2  # of what is kept
Progress = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True, eq=False)
class Slices:
    """What one network, with weights of this digest, said of n slices. ``levels``: int64 (n, 2, 256), pixels and found
    ones by probability; ``truth`` and ``both``: (n,) pixels; ``largest``: (n,) the largest probability, exactly;
    ``mask``: bool, each (h, w). ``released``: it is a release and no checkpoint of a fold, which is trained less."""

    witness: str
    weights: str
    case: tuple[str, ...]
    levels: NDArray[np.int64]
    truth: NDArray[np.int64]
    both: NDArray[np.int64]
    largest: NDArray[np.float64]
    mask: tuple[NDArray[np.bool_], ...]
    released: bool = True

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.case)))

    def each(self) -> tuple[Levels, ...]:
        return tuple(Levels(pixels, found) for pixels, found in self.levels)

    def rows_of(self, case: str) -> NDArray[np.int64]:
        return np.flatnonzero(np.asarray(self.case) == case)

    @property
    def dice(self) -> NDArray[np.float64]:
        """Of each slice; 1 where there is nothing and nothing was found."""
        size = self.levels[:, 1].sum(axis=1) + self.truth
        return np.where(size > 0, 2.0 * self.both / np.maximum(size, 1), 1.0)


@dataclass(frozen=True)
class Asked:
    """A network (``source``, see :func:`training.judge.predictor.open_predictor`) and the card of the release that it
    is asked for: its split, its threshold, smallest lesion and crop."""

    source: str
    release: ModelCard


def unseen(asked: Asked, predictor: LocalPredictor, sides: Sequence[str]) -> frozenset[str]:
    """Cases of ``sides`` (of the released card; its twin's where it has one) that the network has not seen.

    Raises SourceError where nothing tells what it has seen, or where it has seen all of them."""
    seen = cases_seen_by(predictor.released_card)
    if not seen:
        raise SourceError(f"{asked.source}: nothing tells which cases it was trained on, so it cannot witness")
    split = {**asked.release.data, **asked.release.data.get("twin", {})}
    left = frozenset(case for side in sides for case in split[side]) - seen
    if not left:
        raise SourceError(f"{asked.source}: it has seen every case that could be fitted on, so it cannot witness")
    return left


def listen(asked: Asked, sides: Sequence[str], pairs: Sequence[Pair], cache: Path, progress: Progress) -> Slices:
    """What the network says of its unseen cases, with the release's threshold, smallest lesion and crop.

    A checkpoint has no calibration: its unseen validation cases calibrate it, and it witnesses the others. What was
    heard is kept in ``cache`` and not asked again."""
    with ExitStack() as keep:
        opened = open_predictor(asked.source, keep)
        if not isinstance(opened, LocalPredictor):
            raise SourceError(f"{asked.source}: a server cannot witness; give its released folder")
        cases = unseen(asked, opened, sides)
        card = opened.released_card
        if asked.source.endswith(".ckpt"):
            apart = frozenset({**asked.release.data, **asked.release.data.get("twin", {})}["validation"]) & cases
            if not apart or apart == cases:
                raise SourceError(f"{asked.source}: expected unseen cases to calibrate on, and others to witness")
            card = _calibrated(opened, [pair for pair in pairs if pair.case in apart], cache, progress)
            cases -= apart
        settings = {name: getattr(asked.release, name) for name in ("threshold", "min_lesion_pixels", "crop")}
        speaking = opened.with_card(card.with_changes(**settings))
        chosen = [pair for pair in pairs if pair.case in cases]
        if not chosen:
            raise SourceError(f"{asked.source}: none of its unseen cases is in the data folder")
        kept = cache / f"{_key(speaking.released_card, chosen)}.npz"
        if not kept.is_file():
            _hear(speaking, chosen, kept, progress)
        return _read(kept, opened.name, card.weights.sha256, not asked.source.endswith(".ckpt"))


def _calibrated(predictor: LocalPredictor, pairs: Sequence[Pair], cache: Path, progress: Progress) -> ModelCard:
    card = predictor.released_card
    kept = cache / f"{_key(card, pairs)}.json"
    if not kept.is_file():
        advance = progress("calibrating a checkpoint", len(pairs))
        logits, masks = [], []
        for item in load_slices(pairs):
            logits.append(predictor.logits(item))
            masks.append(item.mask_on(card.input))
            advance()
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, json.dumps(asdict(fit_calibration(logits, masks))).encode())
    return card.with_changes(calibration=Calibration(**json.loads(kept.read_text("utf-8"))))


def _key(card: ModelCard, pairs: Sequence[Pair]) -> str:
    said = {
        "format": FORMAT,
        "weights": card.weights.sha256,
        "settings": [asdict(card.calibration), card.threshold, card.min_lesion_pixels, str(card.crop)],
        "slices": [(pair.name, pair.image.stat().st_size, pair.mask.stat().st_size) for pair in pairs],
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]


def _hear(predictor: LocalPredictor, pairs: Sequence[Pair], kept: Path, progress: Progress) -> None:
    advance = progress(f"asking {predictor.name}", len(pairs))
    levels, counts, largest, masks = [], [], [], []
    for start in range(0, len(pairs), 64):  # not all slices in memory
        for item in load_slices(pairs[start : start + 64]):
            found = predictor.segment(item)
            heard = levels_of(found.steps, found.mask)
            levels.append((heard.pixels, heard.found))
            counts.append((int(item.mask.sum()), int((item.mask & found.mask).sum())))
            largest.append(found.measurement.max_probability)
            masks.append((np.packbits(found.mask), found.mask.shape))
            advance()
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(kept.name + ".part")
    with part.open("wb") as file:
        np.savez(
            file,
            case=np.array([pair.case for pair in pairs]),
            levels=np.array(levels, np.int64),
            counts=np.array(counts, np.int64),
            largest=np.array(largest, np.float64),
            bits=np.concatenate([bits for bits, _ in masks]),
            shapes=np.array([shape for _, shape in masks], np.int64),
        )
    part.rename(kept)


def _read(kept: Path, witness: str, weights: str, released: bool) -> Slices:
    with np.load(kept, allow_pickle=False) as content:
        masks, at = [], 0
        for height, width in content["shapes"]:
            size = -(-height * width // 8)
            bits = np.unpackbits(content["bits"][at : at + size], count=height * width)
            masks.append(bits.reshape(height, width).astype(bool))
            at += size
        truth, both = content["counts"].T
        case = tuple(str(name) for name in content["case"])
        return Slices(
            witness, weights, case, content["levels"], truth, both, content["largest"], tuple(masks), released
        )
