"""Where things are, and what they are called."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL_STORE = ROOT / "model_store"
SAMPLES = ROOT / "samples"
STATE = ROOT / ".run"
MODEL_NAME = "brainseg"
TYPES_NAME = "brainseg-types"  # the classifier
REGIONS_NAME = "brainseg-regions"  # the segmentation of several classes
BESIDE = (TYPES_NAME, REGIONS_NAME)  # models that go live beside the segmentation, without a trial
MODELS = (MODEL_NAME, *BESIDE)
KEY_FILE = "key_file.json"
DEFAULT_VERSION_FILE = "default-version"


def release_folder(version: str, store: Path = MODEL_STORE, model: str = MODEL_NAME) -> Path:
    """Where the weights and the card of ``version`` lie."""
    return store / f"{model}-{version}"


def archive_path(version: str, store: Path = MODEL_STORE, model: str = MODEL_NAME) -> Path:
    """Where the archive of ``version`` lies."""
    return store / f"{model}-{version}.mar"


def released_versions(store: Path = MODEL_STORE, model: str = MODEL_NAME) -> list[str]:
    """Versions of ``model`` whose release folder is complete, in order: 2.0 before 10.0."""
    folders = [card.parent.name for card in store.glob(f"{model}-*/model-card.json")]
    longer = tuple(f"{name}-" for name in MODELS if name.startswith(f"{model}-"))  # another model's, not a version
    names = [name.removeprefix(f"{model}-") for name in folders if not (longer and name.startswith(longer))]
    return sorted(
        names,
        key=lambda name: [(part.isdigit(), int(part) if part.isdigit() else part) for part in re.split(r"[.]", name)],
    )


def some_versions(store: Path = MODEL_STORE) -> list[str]:
    """The released versions, at least one. Raises ``FileNotFoundError`` when there is none."""
    versions = released_versions(store)
    if not versions:
        raise FileNotFoundError(
            f"no release in {store}: expected a folder such as {MODEL_NAME}-1.0 with its model card"
        )
    return versions


def default_version(store: Path = MODEL_STORE) -> str:
    """The version that answers when none is named. Raises ``FileNotFoundError`` when there is no release."""
    versions = some_versions(store)
    marker = store / DEFAULT_VERSION_FILE
    chosen = marker.read_text(encoding="utf-8").strip() if marker.exists() else versions[-1]
    if chosen not in versions:
        raise FileNotFoundError(f"{marker} names version {chosen}; released are {', '.join(versions)}")
    return chosen
