"""An archive that ``scripts/deploy`` may go on with, or the refusal that it ends in."""

from __future__ import annotations

from pathlib import Path

from archive.errors import UntrustedError
from archive.verify import Release, read_release
from rollout.errors import ArchiveError


def trusted_release(path: Path, deployed: str = "") -> Release:
    """The release in the archive ``path``. Raises :class:`ArchiveError` that says what is wrong with it.
    ``deployed``: the digest under which it was deployed before, if it was."""
    try:
        return read_release(path, deployed)
    except UntrustedError as error:
        raise ArchiveError(str(error)) from error
