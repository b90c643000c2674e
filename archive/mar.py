"""A release folder -> ``brainseg-<version>.mar``: by torch-model-archiver, then repacked so that equal inputs give
equal bytes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from archive.bill import BILL_FILE, bill
from archive.convert import AUTO, add_engines
from archive.digests import DIGESTS_FILE, SIGNATURE_FILE, Digests, member_of, write_record
from archive.inputs import CONFIG, SERVICE, digests_for, handler_sources, release_files, sample_files
from archive.known import record
from archive.layout import read_members
from archive.programs import environment, python
from archive.signature import signature_member
from archive.store import ROOT
from archive.verify import read_release
from archive.workspace import SPARE_BYTES, alone_in, check_room, workspace
from handler.card import ModelCard, read_card
from handler.files import write_atomic
from handler.pipeline import open_model
from handler.resources import plan
from handler.volumes.scale import RECORD

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MANIFEST = "MAR-INF/MANIFEST.json"
FIXED_DATE = (1980, 1, 1, 0, 0, 0)
STORED = (".safetensors", ".png", ".bin", ".onnx")  # do not shrink


def _stage(release: Path, card: ModelCard, folder: Path) -> None:
    for source in handler_sources():
        target = folder / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for source in release_files(release, card):
        shutil.copyfile(source, folder / source.name)
    (folder / "samples").mkdir()
    for source in sample_files():
        shutil.copyfile(source, folder / "samples" / source.name)


def _run_archiver(name: str, version: str, staged: Path, workspace: Path) -> Path:
    output = workspace / "out"
    output.mkdir()
    command = python("-m", "model_archiver.model_packaging", "--model-name", name, "--version", version)
    command += ["--handler", str(SERVICE), "--extra-files", str(staged), "--config-file", str(CONFIG)]
    command += ["--export-path", str(output), "--archive-format", "default"]
    # The archiver builds in <temp>/<model name>: two builds at once would mix. Each gets a temp folder of its own.
    variables = {**environment(), "TMPDIR": str(workspace)}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"torch-model-archiver failed: {done.stderr.strip()[-2000:]}")
    return output / f"{name}.mar"


def _members(archive: Path, digests: Digests) -> dict[str, bytes]:
    """The archiver's members, the manifest without its creation time, and the digests of them all."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist() if not name.endswith("/")}
    manifest = json.loads(members[MANIFEST])
    manifest.pop("createdOn", None)
    members[MANIFEST] = json.dumps(manifest, indent=2, sort_keys=True).encode()
    return {**members, DIGESTS_FILE: member_of(digests, members)}


def pack(members: Mapping[str, bytes]) -> bytes:
    """An archive of ``members`` under sorted names and a fixed date."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, FIXED_DATE)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(STORED) else zipfile.ZIP_DEFLATED
            target.writestr(info, members[name])
    return buffer.getvalue()


def signed(members: Mapping[str, bytes], card: ModelCard, key: Ed25519PrivateKey) -> bytes:
    """An archive of ``members``, signed by ``key``; an earlier signature goes."""
    return pack({**members, SIGNATURE_FILE: signature_member(card.name, card.version, members, key)})


def sign_archive(path: Path, key: Ed25519PrivateKey) -> None:
    """Signs the archive ``path``, which is verified first; whole or not at all. Raises :class:`UntrustedError`, or
    :class:`NoRoomError` when the disk is full."""
    release = read_release(path)
    members = {member.name: member.unpack() for member in read_members(release.content)}
    _keep(path, signed(members, release.card, key))


def _keep(output: Path, content: bytes) -> None:
    with alone_in(output.parent, output.name):
        check_room(output.parent, len(content) + SPARE_BYTES, f"{output.name}")
        write_atomic(output, content)
        write_record(output)


def package(
    release: Path, output: Path, version: str = "", key: Ed25519PrivateKey | None = None, engine: str = AUTO
) -> ModelCard:
    """Writes the archive of the release folder ``release`` to ``output``, whole or not at all, its digest beside it;
    returns the card that went in, with its engine's files, their parity record and its known answers. A bill of
    materials (:mod:`archive.bill`) travels inside. ``version``: the number it goes under, the card's if none; ``key``:
    signs it; ``engine``: see :func:`archive.convert.add_engines`. Raises ``ValueError`` when the weights are not those
    of the card, :class:`ParityError` or :class:`ConversionError` when the engine that was named cannot be had,
    ``RuntimeError`` when the archiver fails, :class:`NoRoomError` when a disk is full."""
    card = read_card(release)
    card = card.with_changes(version=version or card.version)
    digests = digests_for(release)
    with workspace((release / card.weights.file).stat().st_size) as folder:
        staged = folder / "staged"
        staged.mkdir()
        _stage(release, card, staged)
        card = add_engines(card, staged, engine)
        card.write(staged)
        # Not "auto": the answers of an archive must not depend on whether it was packaged beside a GPU.
        model = open_model(staged, card.serving["engine"], plan().threads)
        # How volumes are scaled is the handler's, which travels in the archive too: the card says which it is.
        card = card.with_changes(known_answers=record(model, sample_files()), data={**card.data, "volumes": RECORD})
        card.write(staged)
        (staged / BILL_FILE).write_bytes(bill(card))
        members = _members(_run_archiver(card.name, card.version, staged, folder), digests)
    _keep(output, signed(members, card, key) if key else pack(members))
    return card
