"""What a run has to do: the scans, and where the results of each go."""

from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.names import shown
from brainseg_client.volumes import is_dicom

# What is looked for in folders. A file named by itself is sent whatever its ending: the server looks at the bytes.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".nii.gz", ".zip")
DICOM = ".dcm"
RECORD, MASK, OVERLAY = ".json", ".mask", ".overlay"


class JobError(Exception):
    """The scans or the folder for the results cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """One scan: a file, or the DICOM files of a folder. ``name``: as records and tables call it; ``stem``: its results
    are ``<stem>.json``, ``<stem>.mask.png`` and so on; ``parts``: of a folder, the files that are sent as one."""

    scan: Path
    name: str
    stem: Path
    parts: tuple[Path, ...] = ()

    @property
    def record(self) -> Path:
        """Written last: where it is, the scan is done."""
        return self.stem.with_name(self.stem.name + RECORD)

    def picture(self, kind: str, stack: bool) -> Path:
        """``kind``: :data:`MASK` or :data:`OVERLAY`."""
        return self.stem.with_name(self.stem.name + kind + (".tiff" if stack else ".png"))


Found = tuple[Path, tuple[Path, ...]]  # a file and nothing, or a folder and the DICOM files in it


def _in_folder(folder: Path, out: Path, skip: str) -> list[Found]:
    found: list[Found] = []
    series: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or out in path.resolve().parents or fnmatch.fnmatch(path.name, skip):
            continue
        if path.name.lower().endswith(SUFFIXES):
            found.append((path, ()))
        elif is_dicom(path):
            series[path.parent].append(path)
    for place, files in series.items():
        alone = len(files) == 1 and files[0].suffix.lower() == DICOM
        found.append((files[0], ()) if alone else (place, tuple(files)))
    return sorted(found)


def _scans(inputs: Sequence[Path], out: Path, skip: str) -> Iterator[tuple[Path, Path, tuple[Path, ...]]]:
    """(scan, its name relative to the results, its parts)."""
    for given in inputs:
        if given.is_dir():
            base = given.resolve()
            for path, parts in _in_folder(base, out, skip):
                yield path, Path(base.name) / path.relative_to(base), parts
        elif given.is_file():
            yield given, Path(given.name), ()
        else:
            raise JobError(f"{shown(str(given))} is neither a file nor a folder")


def stem_of(name: Path, folder: bool) -> Path:
    """Of a file without its ending, ``.nii.gz`` being one; a folder's name has none, whatever dots are in it."""
    if folder:
        return name
    return (name.with_suffix("") if name.name.lower().endswith(".nii.gz") else name).with_suffix("")


def plan_jobs(inputs: Sequence[Path], out: Path, skip: str) -> list[Job]:
    """The jobs for files and folders (searched below, in order of name; hidden files, what lies in ``out`` and names
    that match the pattern ``skip`` are left out; the DICOM files that lie in one folder are one scan). Raises
    :class:`JobError`: nothing found, a path that is not there, or two scans whose results would have one name."""
    found = list(dict.fromkeys(_scans(inputs, out.resolve(), skip)))
    if not found:
        raise JobError(f"no scan found: expected DICOM, or files that end in {', '.join(SUFFIXES)}")
    doubled = [name for name, count in Counter(name for _, name, _ in found).items() if count > 1]
    if doubled:
        raise JobError(
            f"two scans are called {shown(str(doubled[0]))}: give their folders one by one, each with an --out of its "
            "own"
        )
    short = [stem_of(name, bool(parts)) for _, name, parts in found]
    stems = Counter(short)
    # a.png beside a.tif: the results keep the ending.
    return [
        Job(scan, shown(name.as_posix()), out / (stem if stems[stem] == 1 else name), parts)
        for (scan, name, parts), stem in zip(found, short, strict=True)
    ]
