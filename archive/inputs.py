"""What an archive is made from, and whether it still is: nothing here needs torch, so starting a server does not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from archive.digests import Digests, check_record
from archive.errors import UntrustedError
from archive.store import ROOT, SAMPLES
from archive.verify import read_release
from handler.card import CARD_FILE, ModelCard, read_card

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
    """What of a release travels in its archive beside the card: weights, licence and the gate."""
    names = (card.weights.file, "LICENSE", *(record.file for record in card.trust_records))
    return [release / name for name in names if (release / name).exists()]


def _digest(paths: Sequence[Path], folder: Path) -> str:
    """``sha256:`` over names and bytes of ``paths``, named from ``folder``."""
    digest = hashlib.sha256()
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def build_digest() -> str:
    """Over what every archive of this checkout is made from: the handler, its settings, how it is converted."""
    converter = [ROOT / "archive" / "convert.py", *sorted((ROOT / "archive" / "engines").glob("*.py"))]
    converter += [ROOT / "constraints.txt"]
    return _digest([*handler_sources(), SERVICE, CONFIG, *sample_files(), *converter], ROOT)


def digests_for(release: Path) -> Digests:
    """Over everything the archive of ``release`` is made from."""
    card = read_card(release)
    build = build_digest()
    weights = _digest([release / CARD_FILE, *release_files(release, card)], release)
    return Digests(f"sha256:{hashlib.sha256(f'{build} {weights}'.encode()).hexdigest()}", build)


def why_stale(archive: Path, release: Path) -> str:
    """Why ``archive`` is not what packaging ``release`` would make now, in words; empty when it is. It passes the same
    verification as before it is deployed, and must be the very bytes that were packaged."""
    if not archive.is_file():
        return "it is not there"
    try:
        check_record(archive)
        verified = read_release(archive)
    except (UntrustedError, OSError) as error:
        return str(error)
    return "" if verified.digests == digests_for(release) else "it was made from other code or other weights"


def is_current(archive: Path, release: Path) -> bool:
    """Whether ``archive`` exists and was made from what ``release`` and the code are now."""
    return not why_stale(archive, release)
