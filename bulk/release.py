"""The archive as every worker opens it: verified once more there, unpacked for as long as opening takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from archive.digests import digest_of
from archive.errors import UntrustedError
from archive.layout import read_members
from archive.verify import Release, read_release, verify
from archive.workspace import own_folder
from bulk.errors import BulkError
from handler.pipeline import Model, open_model

PREFIX = "brainseg-bulk-"
THREADS = 1  # of a worker: many scans at a time are faster than many threads on one
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Opened:
    """The archive that was verified: its bytes go to whoever works, with the digest that they must have."""

    content: bytes
    sha256: str
    version: str
    model_digest: str


def find(archive: Path, version: str) -> Opened:
    """Raises :class:`BulkError` for an archive that is not to be trusted, or not of ``version``."""
    try:
        release: Release = read_release(archive)
    except UntrustedError as error:
        raise BulkError(str(error)) from error
    if release.version != version:
        raise BulkError(f"{archive.name} holds version {release.version}, expected {version}")
    return Opened(release.content, release.sha256, version, release.card.weights.sha256)


def open_archive(content: bytes, sha256: str, engine: str = "auto") -> Model:
    """The release in ``content``, ready to run on one thread. Raises ``ValueError`` or :class:`UntrustedError` where
    the bytes are not those of ``sha256``, or not as they were packaged."""
    if (found := digest_of(content)) != sha256:
        raise ValueError(f"the archive has digest {found}, expected {sha256}")
    verify(content)
    with own_folder(PREFIX) as folder:
        for member in read_members(content):
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(member.unpack())
        # What it needs is in memory, or held open, when this returns.
        return open_model(folder, engine, THREADS)


def one_thread() -> None:
    """For this process and those it starts; before a library that reads them is imported."""
    os.environ.update(dict.fromkeys(VARIABLES, str(THREADS)))
