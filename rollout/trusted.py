"""An archive that ``scripts/deploy`` may go on with, or the refusal that it ends in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archive.errors import UntrustedError
from archive.verify import Release, read_release
from rollout.errors import ArchiveError
from rollout.signers import Signers, read_signers


def trusted_release(path: Path, deployed: str = "") -> Release:
    """The release in the archive ``path``. Raises :class:`ArchiveError` that says what is wrong with it.
    ``deployed``: the digest under which it was deployed before, if it was."""
    try:
        return read_release(path, deployed)
    except UntrustedError as error:
        raise ArchiveError(str(error)) from error


def check_signers(release: Release, file_name: str, state: Path, asked: Sequence[Signers] = ()) -> str:
    """A line that says who vouches for ``release``, by what the server of ``state`` was told to ask for and by all of
    ``asked`` beside it. Raises :class:`ArchiveError`."""
    try:
        required = [one for one in (read_signers(state), *asked) if one.required]
        lines = [one.check(release, file_name) for one in required or [Signers()]]
    except UntrustedError as error:
        raise ArchiveError(str(error)) from error
    return lines[0]
