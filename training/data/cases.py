"""Finds the slices of a data set in the published `kaggle_3m` layout: `<case>/<case>_<n>.tif` and `…_<n>_mask.tif`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MASK = re.compile(r"^.+_\d+_mask\.tif$")
_IMAGE = re.compile(r"^.+_\d+\.tif$")


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

    Files are only listed, not opened. Raises DataError when there is no pair at all.
    """
    root = folder / "kaggle_3m" if (folder / "kaggle_3m").is_dir() else folder
    files = {path for path in root.glob("*/*.tif") if path.is_file()}
    pairs, lonely = [], []
    for mask in sorted(path for path in files if _MASK.match(path.name)):
        stem = mask.stem.removesuffix("_mask")
        image = mask.with_name(f"{stem}.tif")
        if image in files:
            pairs.append(Pair(mask.parent.name, int(stem.rpartition("_")[2]), image, mask))
        else:
            lonely.append(mask)
    paired = {pair.image for pair in pairs}
    lonely += [path for path in files if _IMAGE.match(path.name) and path not in paired]
    if not pairs:
        raise DataError(f"no <case>/<case>_<n>.tif with its _mask.tif below {root}; expected the kaggle_3m layout")
    return Listing(root, tuple(sorted(pairs)), tuple(sorted(lonely)))
