"""Archives made from one that is there: the same network under another number."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from archive.digests import DIGESTS_FILE, Digests, member_of
from archive.mar import pack

CARD, MANIFEST = "model-card.json", "MAR-INF/MANIFEST.json"


def repack(archive: Path, target: Path, changes: Mapping[str, Callable[[bytes], bytes]]) -> Path:
    """``archive`` with some members changed, packaged like that; everything else as it was."""
    if archive == target:
        raise ValueError(f"{archive} cannot be packed over itself")
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    if missing := set(changes) - set(members):
        raise ValueError(f"{archive} has no {', '.join(sorted(missing))}")
    members |= {name: change(members[name]) for name, change in changes.items()}
    made = json.loads(members[DIGESTS_FILE])
    members[DIGESTS_FILE] = member_of(Digests(made["inputs"], made["build"]), members)
    target.write_bytes(pack(members))
    return target


def versioned(archive: Path, target: Path, version: str, **card: object) -> Path:
    """``archive`` as another version, with other values in its model card."""

    def manifest(content: bytes) -> bytes:
        raw = json.loads(content)
        raw["model"]["modelVersion"] = version
        return json.dumps(raw).encode()

    def changed(content: bytes) -> bytes:
        return json.dumps({**json.loads(content), "version": version, **card}).encode()

    return repack(archive, target, {MANIFEST: manifest, CARD: changed})
