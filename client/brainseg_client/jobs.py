"""What a run has to do: the scans, and where the results of each go."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.names import shown

# What is looked for in folders. A file named by itself is sent whatever its ending: the server looks at the bytes.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
RECORD, MASK, OVERLAY = ".json", ".mask", ".overlay"


class JobError(Exception):
    """The scans or the folder for the results cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Job:
    """One scan, one file. ``name``: as records and tables call it; ``stem``: its results are ``<stem>.json``,
    ``<stem>.mask.png`` and so on."""

    scan: Path
    name: str
    stem: Path

    @property
    def record(self) -> Path:
        """Written last: where it is, the scan is done."""
        return self.stem.with_name(self.stem.name + RECORD)

    def picture(self, kind: str, stack: bool) -> Path:
        """``kind``: :data:`MASK` or :data:`OVERLAY`."""
        return self.stem.with_name(self.stem.name + kind + (".tiff" if stack else ".png"))


def _in_folder(folder: Path, out: Path, skip: str) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or path.suffix.lower() not in SUFFIXES:
            continue
        if out not in path.resolve().parents and not fnmatch.fnmatch(path.name, skip):
            yield path


def _scans(inputs: Sequence[Path], out: Path, skip: str) -> Iterator[tuple[Path, Path]]:
    """(scan, its name relative to the results)."""
    for given in inputs:
        if given.is_dir():
            base = given.resolve()
            yield from ((path, Path(base.name) / path.relative_to(base)) for path in _in_folder(base, out, skip))
        elif given.is_file():
            yield given, Path(given.name)
        else:
            raise JobError(f"{shown(str(given))} is neither a file nor a folder")


def plan_jobs(inputs: Sequence[Path], out: Path, skip: str) -> list[Job]:
    """The jobs for files and folders (searched below, in order of name; hidden files, what lies in ``out`` and names
    that match the pattern ``skip`` are left out). Raises :class:`JobError`: nothing found, a path that is not there,
    or two scans whose results would have one name."""
    found = list(dict.fromkeys(_scans(inputs, out.resolve(), skip)))
    if not found:
        raise JobError(f"no scan found: expected files that end in {', '.join(SUFFIXES)}")
    doubled = [name for name, count in Counter(name for _, name in found).items() if count > 1]
    if doubled:
        raise JobError(
            f"two scans are called {shown(str(doubled[0]))}: give their folders one by one, each with an --out of its "
            "own"
        )
    stems = Counter(name.with_suffix("") for _, name in found)
    # a.png beside a.tif: the results keep the ending.
    return [
        Job(scan, shown(name.as_posix()), out / (name.with_suffix("") if stems[name.with_suffix("")] == 1 else name))
        for scan, name in found
    ]
