"""The engine of a release: candidates are converted, proven equal to the reference, measured here; one is chosen."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from archive.engines.convert import CONVERTERS, WITHOUT_VOLUMES, ConversionError
from archive.engines.measure import Speed, fastest, measure
from archive.engines.parity import HALF_INPUTS, HALF_TOLERANCE, ParityError, compare, difference
from handler.card import FileRecord, ModelCard
from handler.engines import ENGINES, Engine, installed, open_engine
from handler.engines.torch_engine import HALF, TorchEngine
from handler.resources import plan

AUTO, REFERENCE = "auto", "torch"
CHOICES = (AUTO, *ENGINES)


@dataclass
class Candidates:
    """``engines``, ready to run, their ``files`` and ``parity`` records, and why others were ``left_out``."""

    engines: dict[str, Engine] = field(default_factory=dict)
    files: dict[str, tuple[FileRecord, ...]] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, card: ModelCard, folder: Path, reference: Engine) -> None:
        """Converts the release in ``folder`` for the engine ``name``; kept if it computes what ``reference`` does."""
        try:
            files = self._converted(name, card, folder)
            engine = open_engine(name, card.with_changes(engines={name: files}), folder, reference.threads)
            record = compare(card, reference, engine)
        except (ConversionError, ParityError, ValueError) as error:
            self.left_out[name] = str(error)
            return
        self.engines[name], self.files[name], self.parity[name] = engine, files, record

    def _converted(self, name: str, card: ModelCard, folder: Path) -> tuple[FileRecord, ...]:
        """Two engines may read the same file."""
        if card.input.view.slab and name in WITHOUT_VOLUMES:
            raise ConversionError(f"{name} is not taken for networks over volumes")
        same = next((other for other in self.files if CONVERTERS[other] is CONVERTERS[name]), None)
        return self.files[same] if same else CONVERTERS[name](card, folder)


def _wanted(engine: str) -> list[str]:
    """The engines to convert for; none for the reference, which runs the weights as they are."""
    if engine not in CHOICES:
        raise ValueError(f"engine {engine!r}: expected one of {', '.join(CHOICES)}")
    if engine not in (AUTO, REFERENCE) and not installed(engine):
        raise ValueError(f"engine {engine}: its library is not installed here. Install {engine}, or take auto.")
    return [name for name in CONVERTERS if name == engine or (engine == AUTO and installed(name))]


def add_engines(card: ModelCard, folder: Path, engine: str = AUTO) -> ModelCard:
    """The card of the release in ``folder`` (card and weights) with the files of one engine, written beside them, its
    parity record, and in ``serving`` why it is this one: ``milliseconds`` a slice of every candidate on this machine,
    ``left_out`` with the reason of each that could not be had. ``engine``: the one to take, then nothing is measured
    and equal inputs give equal files; ``auto``: the fastest, PyTorch itself where nothing else can be had.

    Raises ``ValueError`` for an unknown engine, :class:`ParityError` or :class:`ConversionError` where the one that was
    named cannot be had."""
    wanted = _wanted(engine)
    reference = open_engine(REFERENCE, card, folder, plan().threads)
    found = Candidates()
    for name in wanted:
        found.add(name, card, folder, reference)
    if engine in found.left_out:
        raise ConversionError(f"engine {engine} cannot run this network: {found.left_out[engine]}")
    speeds: dict[str, Speed] = {}
    if engine == AUTO:
        speeds = measure(card, _rivals(found, reference))
    chosen = fastest(speeds) if speeds else engine
    kept = {chosen: found.files[chosen]} if chosen in found.files else {}
    _remove(folder, [file for name, files in found.files.items() if name != chosen for file in files], kept)
    half = TorchEngine(card, folder, plan().threads, half=True)
    proven = {name: record for name, record in found.parity.items() if name == chosen}
    # Not within: no reason to refuse the archive, for CUDA then computes in float32.
    proven[HALF] = difference(card, reference, half, HALF_TOLERANCE, HALF_INPUTS)
    serving = {
        "engine": chosen,
        "chosen": "measured" if speeds else "named",
        "threads": reference.threads,
        "milliseconds": {name: asdict(speed) for name, speed in speeds.items()},
        "left_out": found.left_out,
    }
    return card.with_changes(engines=kept, parity=proven, serving=serving)


def _rivals(found: Candidates, reference: Engine) -> list[Engine]:
    """A server beside a GPU takes PyTorch, whatever is chosen: what is chosen is for those without."""
    on_cpu = not isinstance(reference, TorchEngine) or reference.device.type == "cpu"
    return [*found.engines.values(), *([reference] if on_cpu or not found.engines else [])]


def _remove(folder: Path, files: list[FileRecord], kept: dict[str, tuple[FileRecord, ...]]) -> None:
    names = {record.file for records in kept.values() for record in records}
    for record in files:
        if record.file not in names:
            with contextlib.suppress(FileNotFoundError):  # two engines may share one
                (folder / record.file).unlink()


def told(card: ModelCard) -> list[str]:
    """What packaging tells of the engine, a line each."""
    serving = card.serving
    lines = [f"engine left out: {name}: {reason}" for name, reason in serving["left_out"].items()]
    speeds = [f"{name} {speed['lone']:.1f}, {speed['stack']:.1f}" for name, speed in serving["milliseconds"].items()]
    measured = f" (ms a slice alone, in a stack: {'; '.join(speeds)})" if speeds else ""
    return [*lines, f"engine {serving['engine']}, {serving['chosen']}{measured}"]
