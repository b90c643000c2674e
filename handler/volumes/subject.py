"""A scan with geometry as the pipeline takes it, and what is written about its mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from handler.accept import GEOMETRIC
from handler.answer import Spatial
from handler.card import InputSpec, ModelCard
from handler.engines import Engine
from handler.errors import RequestError
from handler.limits import Limits
from handler.neighbours import lone_warnings
from handler.subject import Seen, Steps
from handler.trust.gate import Gate
from handler.trust.report import ON, Trust, ungated
from handler.volumes.channels import ORDER, Channels, channels_of, check_seen
from handler.volumes.dicom.written import as_written
from handler.volumes.infer import Inferred, infer, masks_of, picture_of, shown, slices_of
from handler.volumes.lesions import measure
from handler.volumes.out import bundle, nifti, seg
from handler.volumes.out.algorithm import Algorithm
from handler.volumes.out.frames import frames_of
from handler.volumes.plane import back
from handler.volumes.study import read_study
from handler.volumes.volume import DicomSource

Mask = NDArray[np.bool_] | NDArray[np.uint8]
ZIP = "application/zip"
WITHOUT_IMAGES = ("application/x-nifti", ZIP)


class Scanned:
    """``channels``: the sequences on the FLAIR's grid. Slices are the FLAIR's, in the order of its file."""

    def __init__(self, channels: Channels) -> None:
        flair = channels.flair
        self.format, self.sha256 = flair.format, flair.sha256
        self.slices, self.height, self.width = flair.grid.shape
        # A mask of what was no DICOM has no images to refer to.
        self.kinds: tuple[str, ...] = GEOMETRIC if isinstance(flair.source, DicomSource) else WITHOUT_IMAGES
        self.channels = channels
        self._seen: tuple[str, ...] = ORDER
        self._view = shown(channels)

    def drawn(self, index: int) -> NDArray[np.uint8]:
        return np.stack([plane[index] for plane in self.channels.planes], axis=-1)

    def seen(self, index: int, spec: InputSpec) -> Seen:
        plane = self._view.plane
        if plane.reformatted:
            raise RequestError(
                "unsupported_shape",
                f"The network looks at {plane.name} slices of this volume, which are not the file's own; send one that "
                "was taken in axial slices, or a picture of one.",
            )
        check_seen(self.channels, spec.sequences)
        at = self.slices - 1 - index if plane.turned[0] else index
        grid = picture_of(self._view, at, at + 1, spec)[0]

        def back_again(heat: NDArray[np.float32]) -> NDArray[np.float32]:
            found = np.zeros((1, self.height, self.width), np.float32)
            stack = plane.to_stack(found)  # a view: what is written here lies in its place in ``found``
            stack[0] = back(heat, self._view.window, *stack.shape[1:])
            return found[0]

        return Seen(grid, back_again)

    def steps(
        self, engine: Engine, card: ModelCard, deadline: float, gate: Gate | None = None, asked: str = ON
    ) -> Steps:
        self._seen = card.input.sequences
        told = check_seen(self.channels, self._seen)
        found = infer(engine, card, self._view, self.channels, deadline, gate is not None)
        trust = ungated(self.slices) if gate is None else self._kept(found, gate.judge(found.thumbs, asked))
        warnings = told + self._view.warnings + lone_warnings(self._view.plane.shape[0], card.input)
        masks = partial(masks_of, found.steps, self._view.plane) if self._view.plane.reformatted else None
        spent = found.preprocess_seconds, found.inference_seconds
        return Steps(iter(np.asarray(slices_of(found.steps), np.uint16)), warnings, 0.0, *spent, trust, masks)

    def _kept(self, found: Inferred, seen: Trust) -> Trust:
        """``seen``, of the slices that the network saw, brought to those of the volume, where nothing is left of what
        is not assessed. Slices in another plane are all judged as the scan is."""
        plane = self._view.plane
        stack = plane.to_stack(found.steps)  # a view
        slices_of(stack)[[not seen.assessed(index) for index in range(stack.shape[-3])]] = 0
        if plane.reformatted:
            return replace(seen, slices=(seen.scan,) * self.slices)
        return replace(seen, slices=seen.slices[:: -1 if plane.turned[0] else 1])

    def check(self, kind: str) -> None:
        """Raises ``not_acceptable`` where a mask of ``kind`` needs what the scan's headers lack."""
        if kind == "application/dicom" or (kind == ZIP and isinstance(self.channels.flair.source, DicomSource)):
            frames_of(self.channels.flair)

    def _instances(self) -> list[str | None]:
        source = self.channels.flair.source
        if not isinstance(source, DicomSource):
            return [None] * self.slices
        found = [as_written(source.datasets[frame.dataset], "SOPInstanceUID") for frame in source.frames]
        return [uid or None for uid in found]

    def spatial(self, mask: Mask) -> Spatial:
        """``mask``: bool or uint8 labels, (slices, rows, columns). Of the sequences those that the network saw."""
        grid = self.channels.flair.grid
        sequences = [one.as_json() for one in self.channels.sequences if one.channel in self._seen]
        return Spatial(grid, measure(mask != 0, grid), sequences, self._instances())


def read(scans: Mapping[str, bytes], series: int | None, registered: bool, limits: Limits) -> Scanned:
    """Raises the refusals of :func:`handler.volumes.study.read_study`, :func:`handler.volumes.channels.channels_of`
    and :func:`handler.volumes.infer.shown`."""
    return Scanned(channels_of(read_study(scans, series, limits), registered))


def _nifti(subject: Scanned, mask: Mask, algorithm: Algorithm, seg_kind: str | None) -> bytes:
    return nifti.encode(subject.channels.flair, mask, algorithm)


def _seg(subject: Scanned, mask: Mask, algorithm: Algorithm, seg_kind: str | None) -> bytes:
    return seg.encode(subject.channels.flair, mask, algorithm, seg_kind)


def everything(
    subject: Scanned, mask: Mask, algorithm: Algorithm, result: bytes, seg_kind: str | None, with_scan: bool
) -> bytes:
    """Mask, SEG, reports and ``result``, the JSON of the answer, in one zip; the FLAIR too if ``with_scan``."""
    return bundle.encode(subject.channels.flair, mask, algorithm, result, seg_kind, with_scan)


# Kind of answer -> what makes it of a mask alone; with ZIP these are handler.accept.GEOMETRIC.
WRITERS: dict[str, Callable[[Scanned, Mask, Algorithm, str | None], bytes]] = {
    "application/x-nifti": _nifti,
    "application/dicom": _seg,
}
