"""Finds the slices of a data set in the published `kaggle_3m` layout: `<case>/<case>_<n>.tif` and `…_<n>_mask.tif`.

`.tiff` and capitals will do; hidden files, such as the `._*` that macOS puts into archives, are passed over."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_FILE = re.compile(r"(?P<stem>[^.].*_\d+)(?P<mask>_mask)?\.tiff?", re.IGNORECASE)


class DataError(ValueError):
    """The data folder is not what it should be; the message says what was found and what is needed."""


@dataclass(frozen=True, order=True)
class Pair:
    """One slice: its case, its number within the case, and the files of image and mask."""

    case: str
    number: int
    image: Path
    mask: Path

    @property
    def name(self) -> str:
        return f"{self.case}/{self.number}"

    @property
    def institution(self) -> str:
        return institution_of(self.case)


@dataclass(frozen=True)
class Listing:
    """What a data folder holds: pairs in order of case and slice, and files without their other half."""

    root: Path
    pairs: tuple[Pair, ...]
    lonely: tuple[Path, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(sorted({pair.case for pair in self.pairs}))

    def left_out(self) -> list[str]:
        """What to tell who uses the pairs alone: that files without their other half are not among them; a line, or
        none."""
        if not self.lonely:
            return []
        first = self.lonely[0].relative_to(self.root)
        return [f"left out for want of image or mask: {len(self.lonely)} of the files, {first} for one (inspect-data)"]


def institution_of(case: str) -> str:
    """The tissue source site in a TCGA case name, as "DU" in TCGA_DU_5851_19950428; "?" for another name."""
    parts = case.split("_")
    return parts[1] if len(parts) >= 3 and parts[0] == "TCGA" else "?"


def data_folder(given: Path | None) -> Path:
    """The data folder: the one given, else BRAINSEG_DATA; DataError when there is none."""
    folder = given or (Path(os.environ["BRAINSEG_DATA"]) if os.environ.get("BRAINSEG_DATA") else None)
    if folder is None:
        raise DataError("no data folder; pass --data DIR or set BRAINSEG_DATA to a folder in the kaggle_3m layout")
    if not folder.is_dir():
        raise DataError(f"data folder {folder} does not exist")
    return folder


def find_pairs(folder: Path) -> Listing:
    """Lists the pairs below `folder`, which is either the `kaggle_3m` folder or the one that holds it.

    Files are only listed, not opened. Raises DataError when there is no pair at all, or a slice is there twice.
    """
    root = folder / "kaggle_3m" if (folder / "kaggle_3m").is_dir() else folder
    images, masks = _files(root)
    pairs = [
        Pair(image.parent.name, int(key.rpartition("_")[2]), image, masks[key])
        for key, image in images.items()
        if key in masks
    ]
    lonely = [images.get(key) or masks[key] for key in images.keys() ^ masks.keys()]
    if not pairs:
        raise DataError(f"no <case>/<case>_<n>.tif with its _mask.tif below {root}; expected the kaggle_3m layout")
    return Listing(root, tuple(sorted(pairs)), tuple(sorted(lonely)))


def _files(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks by `<folder>/<case>_<n>`."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in sorted(root.glob("*/*")):
        named = _FILE.fullmatch(path.name)
        if not named or not path.is_file():
            continue
        kind = masks if named["mask"] else images
        key = f"{path.parent.name}/{named['stem']}"
        if key in kind:
            raise DataError(f"{kind[key]} and {path.name} are the same slice; leave one of them")
        kind[key] = path
    return images, masks
