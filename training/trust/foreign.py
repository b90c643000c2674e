"""Pictures from elsewhere, which a gate is to refuse or is judged on: other tumours, other scanners, photographs. Each
as float32 (n, 256, 256, 3), 0..1, by kind, and whether it may be fitted on."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handler.card import InputSpec
from handler.limits import DEFAULT_LIMITS
from handler.preprocess import resize, to_grid
from handler.volumes.infer import shown
from handler.volumes.plane import picture
from handler.volumes.subject import read

Array = NDArray[np.float32]
TYPES = ("glioma", "meningioma", "pituitary")
HEALTHY = "notumor"
BLOCK = 10  # neighbours in the set without tumour, which may be of one head: they stay together
SAME = "pat0004"  # the patient of the volume that is fitted on, under another name
EVERY = 3  # of the foreign pictures one is taken, to fit on two: they are many and alike
TENTHS = ("judge",) * 5 + ("validation",) + ("fit",) * 4  # of the patients
# Photographs that scikit-image brings along; what is seen in fitting, and what only judges.
SEEN = ("astronaut", "coffee", "chelsea", "camera", "brick", "coins", "motorcycle_left", "moon")
UNSEEN = (
    *("rocket", "motorcycle_right", "retina", "ihc", "hubble_deep_field", "cell", "grass", "gravel", "horse"),
    *("logo", "color", "clock_motion", "microaneurysms", "text", "page"),
)
SCANNED = ("text", "page")


@dataclass(frozen=True, eq=False)
class Kind:
    """``reason``: why it is to be refused, None where it is to be accepted. ``seen``: whether fitting knows such a
    kind. ``pictures``: (n, 256, 256, 3). ``healthy``: whether they are of heads without tumour."""

    name: str
    reason: str | None
    seen: bool
    pictures: Array
    healthy: bool = False


def _square(image: Image.Image, spec: InputSpec) -> Array:
    pixels = np.asarray(image.convert("RGB"))[None]
    return to_grid(pixels, spec, (0, 255))[0]


def types(folder: Path, spec: InputSpec, seed: int, role: str) -> Iterator[Kind]:
    """The patients of every type: half of them judge, two fifths are fitted on, a tenth is for validation."""
    with (folder / "slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    patients = {(row["class"], row["number"]): row["patient"] for row in rows}
    order = sorted(set(patients.values()))
    drawn = [order[i] for i in np.random.default_rng(seed).permutation(len(order))]
    part = {name: TENTHS[10 * i // len(drawn)] for i, name in enumerate(drawn)}
    for kind in (*TYPES, HEALTHY):
        pictures: list[Array] = []
        with zipfile.ZipFile(folder / f"{kind}.zip") as packed:
            for number, name in enumerate(sorted(n for n in packed.namelist() if n.endswith(".webp"))):
                block = ("fit", "judge", "fit", "judge", "validation", "judge")[number // BLOCK % 6]
                side = block if kind == HEALTHY else part[patients[kind, Path(name).stem]]
                if side == role and (
                    number % EVERY == 0 or (role == "fit" and (kind == HEALTHY or number % EVERY == 1))
                ):
                    pictures.append(_square(Image.open(io.BytesIO(packed.read(name))), spec))
        if pictures:
            yield Kind(f"types: {kind}", "other_contrast", True, np.stack(pictures), kind == HEALTHY)


def photographs(spec: InputSpec, random: np.random.Generator, role: str, parts: int = 16) -> Iterator[Kind]:
    """Of scikit-image, whole and in parts. Nothing where it is not installed, and none for validation."""
    try:
        import skimage
    except ImportError:
        return
    folder = Path(skimage.__file__).parent / "data"
    by_kind: dict[str, list[Array]] = {}
    for name in {"fit": SEEN, "judge": UNSEEN}.get(role, ()):
        path = next((p for p in (folder / f"{name}.png", folder / f"{name}.jpg") if p.is_file()), None)
        if path is None:
            continue
        image = Image.open(path).convert("RGB")
        kind = "scanned pages" if name in SCANNED else "photographs"
        found = by_kind.setdefault(kind, [])
        found.append(_square(image, spec))
        for _ in range(parts - 1):
            share = random.uniform(0.3, 0.9)
            w, h = max(16, int(image.width * share)), max(16, int(image.height * share))
            x, y = int(random.integers(image.width - w + 1)), int(random.integers(image.height - h + 1))
            part = image.crop((x, y, x + w, y + h))
            found.append(_square(part.convert("L") if random.random() < 0.3 else part, spec))
    for kind, pictures in by_kind.items():
        yield Kind(kind, "not_a_brain", kind == "photographs", np.stack(pictures))


def as_seen(scans: dict[str, bytes], spec: InputSpec) -> Array:
    """What the network is shown of a scan with geometry, by the handler's own way."""
    channels = read(scans, None, False, DEFAULT_LIMITS).channels
    view = shown(channels)
    images = np.stack(view.stacks, axis=-1).astype(np.float32) * np.float32(1 / 255)
    return np.asarray(picture(images, view.window, spec))


def resliced(stack: Array, axis: int, spec: InputSpec, step: int = 1) -> Array:
    """Planes of ``stack`` (slices, h, w, c) across it, 1: coronal, 2: sagittal, head up, squashed to the grid."""
    planes = np.moveaxis(stack, axis, 0)[::step, ::-1]
    shown_ = planes[planes.max(axis=(1, 2, 3)) > 0.15]
    return resize(np.ascontiguousarray(shown_), spec.height, spec.width)


def _grey(volume: NDArray[np.generic], spec: InputSpec, step: int) -> Array:
    """Slices of a volume as a viewer saves them: grey, its brightest per mille white."""
    high = float(np.percentile(np.asarray(volume, np.float32), 99.9)) or 1.0
    slices = np.clip(volume[::step].astype(np.float32) / np.float32(high), 0, 1)[..., None]
    slices = slices[slices.max(axis=(1, 2, 3)) > 0.15]
    return resize(np.repeat(slices, 3, axis=3), spec.height, spec.width)


def _nifti(path: Path) -> NDArray[np.float32]:
    """(slices, rows, columns), the head's top last, the front on top, the patient's right on the left."""
    import nibabel

    library: Any = nibabel  # untyped
    image = library.as_closest_canonical(library.load(path))
    return np.ascontiguousarray(np.asarray(image.dataobj, np.float32).transpose(2, 1, 0)[:, ::-1, ::-1])


def volumes(folder: Path, spec: InputSpec, role: str) -> Iterator[Kind]:
    """T1 of one volume to fit on; other scanners' T1 to judge, as pictures in each plane and as volumes."""
    whole = next((folder / "regions").glob("full0021*"), None)
    if role == "fit" and whole:
        t1, flair, t1c = (_nifti(next(whole.glob(f"{name}.nii*"))) for name in ("t1", "flair", "t1c"))
        yield Kind("T1 alone, axial", "other_contrast", True, _grey(t1, spec, 2))
        stack = np.stack([np.clip(v / np.percentile(v, 99.9), 0, 1) for v in (t1, flair, t1c)], axis=-1)
        for axis, name in ((1, "coronal"), (2, "sagittal")):
            yield Kind(f"volume, {name}", "other_plane", True, resliced(stack.astype(np.float32), axis, spec, 3))
            yield Kind(f"T1 alone, {name}", "other_plane", True, _grey(np.moveaxis(t1, axis, 0)[:, ::-1], spec, 3))
    if role == "judge":
        yield from _judging(folder, spec)


def _judging(folder: Path, spec: InputSpec) -> Iterator[Kind]:
    for name, head in (("philips-sagittal-t1", True), ("ge-axial-t1", False)):  # the latter shows plates, no head
        path = folder / "scans" / f"{name}.zip"
        if not path.is_file():
            continue
        scans = {"file": path.read_bytes()}
        flat, across = ("other_contrast", "other_plane") if head else ("not_a_brain", "not_a_brain")
        yield Kind(f"{name}, as a volume", flat, False, as_seen(scans, spec)[::2], head)
        channels = read(scans, None, False, DEFAULT_LIMITS).channels
        stack = np.asarray(shown(channels).plane.to_stack(channels.flair.voxels), np.float32)
        yield Kind(f"{name}, axial", flat, False, _grey(stack, spec, 2), head)
        for axis, plane in ((1, "coronal"), (2, "sagittal")):
            planes = _grey(np.moveaxis(stack, axis, 0)[:, ::-1], spec, 2)
            yield Kind(f"{name}, {plane}", across, False, planes, head)
    native = folder / "native"
    if (native / "flair.nii.gz").is_file():
        parts = {name: (native / f"{name}.nii.gz").read_bytes() for name in ("flair", "t1", "t1c")}
        yield Kind("native patient, as a volume", None, False, as_seen(parts, spec))
        yield Kind("native patient, FLAIR alone", None, False, as_seen({"flair": parts["flair"]}, spec))
        yield Kind("native patient, T1 alone", "other_contrast", False, _grey(_nifti(native / "t1.nii.gz"), spec, 1))
    for path in sorted((folder / "regions").glob("pat*")):
        parts = {name: next(path.glob(f"{name}.nii*")).read_bytes() for name in ("flair", "t1c")}
        yield Kind(f"head without skull, {path.name}", None, path.name == SAME, as_seen(parts, spec)[::4])
