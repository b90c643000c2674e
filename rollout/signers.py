"""Whose archives this server takes: one setting, given to ``scripts/serve``, which ``scripts/deploy`` finds in the
state folder and holds to as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from archive.errors import UntrustedError
from archive.signature import check_signature
from archive.verify import Release
from handler.files import write_atomic

SIGNERS_FILE = "signers.json"
TRUSTED_KEYS = "trusted-keys"  # in the model store, where no other folder is named


@dataclass(frozen=True)
class Signers:
    """``folder``: of the public keys that are trusted; None: signatures are not asked for."""

    folder: Path | None = None

    @property
    def required(self) -> bool:
        return self.folder is not None

    def check(self, release: Release, file_name: str) -> str:
        """A line that says who vouches for ``release``, which lies under ``file_name``. Raises
        :class:`UntrustedError` where signatures are required and nobody who is trusted does."""
        if self.folder is None:
            signed = "not signed" if release.envelope is None else "signed, and the signature was not checked"
            return (
                f"warning: {file_name} is {signed}; scripts/serve --require-signed refuses what no trusted key signed"
            )
        from signing.keys import KeyFileError, load_trusted

        try:
            trusted = load_trusted(self.folder)
            return f"{file_name} is signed by the trusted key {check_signature(release, trusted, file_name)}"
        except (KeyFileError, OSError) as error:
            raise UntrustedError(f"{file_name} is refused: the trusted keys cannot be read: {error}") from error
        except UntrustedError as error:
            raise UntrustedError(f"{file_name} is refused: {error} (trusted keys: {self.folder})") from error


def chosen(required: bool, folder: Path | None, store: Path) -> Signers:
    """What the options of a command mean: a folder that is named is a requirement."""
    if folder is None and not required:
        return Signers()
    return Signers((folder or store / TRUSTED_KEYS).resolve())


def write_signers(state: Path, signers: Signers) -> None:
    """Keeps the setting for ``scripts/deploy``."""
    text = json.dumps({"trusted_keys": str(signers.folder) if signers.folder else None}, indent=1)
    write_atomic(state / SIGNERS_FILE, f"{text}\n".encode())


def read_signers(state: Path) -> Signers:
    """What the server of ``state`` was started with. Raises :class:`UntrustedError` where the file cannot be read: what
    it asked for is not known then."""
    path = state / SIGNERS_FILE
    try:
        folder = json.loads(path.read_text(encoding="utf-8"))["trusted_keys"]
    except FileNotFoundError:
        return Signers()  # an older build served here
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UntrustedError(f"{path} cannot be read; start the server again, which writes it") from error
    return Signers(Path(folder) if folder else None)
