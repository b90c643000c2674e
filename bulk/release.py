"""The archive as every worker opens it: verified once more there, unpacked for as long as opening takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from archive.digests import digest_of
from archive.errors import UntrustedError
from archive.layout import read_members
from archive.store import MODEL_NAME, MODELS, TYPES_NAME
from archive.verify import Release, read_release, verify
from archive.workspace import own_folder
from bulk.errors import BulkError
from bulk.names import key_of
from handler.labels import Label
from handler.pipeline import Model, open_model

PREFIX = "brainseg-bulk-"
SEGMENTING = tuple(model for model in MODELS if model != TYPES_NAME)
THREADS = 1  # of a worker: many scans at a time are faster than many threads on one
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Opened:
    """The archive that was verified: its bytes go to whoever works, with the digest that they must have."""

    content: bytes
    sha256: str
    version: str
    model_digest: str
    model: str = MODEL_NAME
    labels: tuple[Label, ...] = ()

    @property
    def key(self) -> str:
        """What its results lie under."""
        return key_of(self.model, self.version)

    @property
    def name(self) -> str:
        """For a person."""
        return f"BrainSeg {self.version}" if self.model == MODEL_NAME else f"{self.model} {self.version}"


def find(archive: Path, version: str, model: str = MODEL_NAME) -> Opened:
    """Raises :class:`BulkError` for an archive that is not to be trusted, not of ``model`` and ``version``, or of one
    that makes no masks."""
    try:
        release: Release = read_release(archive)
    except UntrustedError as error:
        raise BulkError(str(error)) from error
    card = release.card
    if (card.name, card.version) != (model, version):
        raise BulkError(f"{archive.name} holds {card.name} {card.version}, expected {model} {version}")
    check_segments(model)
    labels = card.labelling.labels if card.labelling else ()
    return Opened(release.content, release.sha256, version, card.weights.sha256, model, labels)


def check_segments(model: str) -> None:
    """Raises :class:`BulkError` for a model that makes no masks."""
    if model not in SEGMENTING:
        named = f"{model} names a class for a slice and makes no masks" if model in MODELS else f"no model {model}"
        raise BulkError(f"{named}; --model expects {' or '.join(SEGMENTING)}")


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
