"""What an archive is made from, and whether it still is: nothing here needs torch, so starting a server does not."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from archive.store import ROOT, SAMPLES
from handler.card import CARD_FILE, ModelCard, read_card

INPUTS_FILE = "inputs.sha256"  # in the archive: digest of all it was made from
CONFIG = ROOT / "deploy" / "model-config.yaml"
SERVICE = ROOT / "handler" / "service.py"
SAMPLE_SUFFIXES = (".png", ".tiff")


def handler_sources() -> list[Path]:
    """The package as it goes into the archive. ``service.py`` goes beside it: TorchServe imports it by itself."""
    return sorted(path for path in (ROOT / "handler").rglob("*.py") if path != SERVICE)


def sample_files() -> list[Path]:
    """The sample scans."""
    return sorted(path for path in SAMPLES.iterdir() if path.suffix in SAMPLE_SUFFIXES)


def release_files(release: Path, card: ModelCard) -> list[Path]:
    """What of a release travels in its archive beside the card: weights and licence."""
    return [release / name for name in (card.weights.file, "LICENSE") if (release / name).exists()]


def inputs_digest(release: Path) -> str:
    """``sha256:`` over names and bytes of everything the archive of ``release`` is made from."""
    card = read_card(release)
    paths = [release / CARD_FILE, *release_files(release, card), *handler_sources(), SERVICE, CONFIG, *sample_files()]
    paths += [ROOT / "archive" / "convert.py", ROOT / "constraints.txt"]
    digest = hashlib.sha256()
    for path in paths:
        name = path.relative_to(release) if path.is_relative_to(release) else path.relative_to(ROOT)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name.as_posix()} {content}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def is_current(archive: Path, release: Path) -> bool:
    """Whether ``archive`` exists and was made from what ``release`` and the code are now."""
    try:
        with zipfile.ZipFile(archive) as packed:
            return packed.read(INPUTS_FILE).decode() == inputs_digest(release)
    except (OSError, KeyError, zipfile.BadZipFile):
        return False
