"""An archive, as bytes, to a release that may be loaded: everything is checked, nothing is imported, unpickled or
written."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from archive.digests import DIGESTS_FILE, SIGNATURE_FILE, Digests, check_members, digest_of
from archive.errors import UntrustedError
from archive.layout import Member, read_members
from archive.signature import read_envelope, statement_of
from archive.store import MODEL_NAME, REGIONS_NAME, TYPES_NAME
from handler.card import CARD_FILE, FileRecord, ModelCard, parse_card

MANIFEST = "MAR-INF/MANIFEST.json"
SERVICE = "service.py"  # the handler class, which TorchServe imports by itself
PARITY_TOLERANCE = 1e-3  # of a probability, as archive/convert.py has it
LARGEST_BYTES = 4 << 30  # of all members unpacked
MOST_MEMBERS = 5000
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,39}")
# Formats that run code when they are loaded, or are code that nobody can read.
_FORBIDDEN = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".npz", ".pyc", ".so", ".whl", ".pth.tar")


@dataclass(frozen=True)
class Release:
    """An archive that was verified. ``content``: its bytes, the ones to copy; ``digests``: None in one that an older
    build made; ``samples``: scans by file name, for its known answers; ``envelope``: its signature, not yet checked,
    None where it has none; ``statement``: what a signature of it must be over."""

    content: bytes
    sha256: str
    card: ModelCard
    digests: Digests | None
    samples: Mapping[str, bytes]
    envelope: Mapping[str, Any] | None = None
    statement: bytes = b""

    @property
    def version(self) -> str:
        return self.card.version

    @property
    def file_name(self) -> str:
        """Its name in the model store: with its digest, so that packaging the same version anew never changes what is
        deployed."""
        return f"{self.card.name}-{self.version}-{self.sha256.removeprefix('sha256:')[:12]}.mar"


def read_release(path: Path, deployed: str = "") -> Release:
    """The release in the archive ``path``. Raises :class:`UntrustedError` that says what is wrong with it.
    ``deployed``: the digest under which it was deployed, if it was; only then may an older build have made it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UntrustedError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return verify(content, deployed)
    except UntrustedError as error:
        raise UntrustedError(f"{path.name} is refused: {error}") from error


def verify(content: bytes, deployed: str = "") -> Release:
    """The release in ``content``, see :func:`read_release`. Raises :class:`UntrustedError`."""
    sha256 = digest_of(content)
    found = read_members(content)
    _check_members(found)
    members = {member.name: member.unpack() for member in found}
    older = sha256 == deployed and DIGESTS_FILE not in members
    digests = None if older else check_members(members)
    card = _card(members)
    _check_manifest(members, card)
    _check_file(members, card.weights)
    if not card.weights.file.endswith(".safetensors"):
        raise UntrustedError(f"its weights {card.weights.file} are not safetensors, the one format that runs no code")
    for record in (record for records in card.engines.values() for record in records):
        _check_file(members, record)
    for record in card.trust_records:
        _check_file(members, record)
    _check_parity(card)
    envelope = read_envelope(members[SIGNATURE_FILE]) if SIGNATURE_FILE in members else None
    statement = statement_of(card.name, card.version, members)
    return Release(content, sha256, card, digests, _samples(members, card), envelope, statement)


def _check_members(members: Sequence[Member]) -> None:
    """Before anything is unpacked: names that stay inside, plain files, no doubles, bounded sizes, no formats that
    run."""
    if len(members) > MOST_MEMBERS or sum(member.size for member in members) > LARGEST_BYTES:
        raise UntrustedError(f"it has more than {MOST_MEMBERS} members or {LARGEST_BYTES >> 30} GiB unpacked")
    seen: set[str] = set()
    for member in members:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name:
            raise UntrustedError(f"its member {member.name!r} would be written outside its folder")
        if str(name) != member.name or not member.name.isprintable():
            raise UntrustedError(f"its member {member.name!r} is a folder, or is named as scripts/package never does")
        if stat.S_ISLNK(member.mode):
            raise UntrustedError(f"its member {member.name!r} is a link")
        if stat.S_IFMT(member.mode) not in (0, stat.S_IFREG):
            raise UntrustedError(f"its member {member.name!r} is no plain file")
        if member.name.lower() in seen:
            raise UntrustedError(f"its member {member.name!r} comes twice")
        if member.name.lower().endswith(_FORBIDDEN):
            raise UntrustedError(f"its member {member.name!r} is of a kind that can run code when it is loaded")
        seen.add(member.name.lower())


def _read(members: Mapping[str, bytes], name: str) -> bytes:
    try:
        return members[name]
    except KeyError:
        raise UntrustedError(f"it has no {name}; make it with scripts/package") from None


def _card(members: Mapping[str, bytes]) -> ModelCard:
    try:
        card = parse_card(_read(members, CARD_FILE).decode())
        _ = card.trust_records
    except ValueError as error:
        raise UntrustedError(str(error)) from error
    expected = TYPES_NAME if card.architecture.classifies else MODEL_NAME
    if card.labelling and card.name == REGIONS_NAME:
        expected = REGIONS_NAME  # one may be the segmentation itself, too
    if card.name != expected or not _VERSION.fullmatch(card.version):
        raise UntrustedError(
            f"its card is of {card.name!r} version {card.version!r}; expected {expected} and such as 2.0"
        )
    return card


def check_number(version: str) -> None:
    """Raises ``ValueError`` for a version that no archive may have."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"version {version!r}; expected at most 40 letters, digits, '.', '_' or '-', such as 2.0")


def _check_manifest(members: Mapping[str, bytes], card: ModelCard) -> None:
    try:
        manifest: dict[str, Any] = json.loads(_read(members, MANIFEST))
        model = manifest["model"]
        stated = (str(model["modelName"]), str(model["modelVersion"]), str(model["handler"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UntrustedError(f"its manifest cannot be read: {error!r}") from error
    if stated != (expected := (card.name, card.version, SERVICE)):
        raise UntrustedError(f"its manifest says {stated}, its model card {expected}")
    if extra := sorted({"serializedFile", "modelFile", "requirementsFile"} & model.keys()):
        raise UntrustedError(f"its manifest asks for {', '.join(extra)}, which a BrainSeg archive never has")
    _read(members, SERVICE)


def _check_file(members: Mapping[str, bytes], record: FileRecord) -> None:
    found = digest_of(_read(members, record.file))
    if found != record.sha256:
        raise UntrustedError(f"its {record.file} has digest {found}, its model card says {record.sha256}")


def _check_parity(card: ModelCard) -> None:
    """Each engine has its record, made at packaging, that it computes what the reference computes."""
    for engine in card.engines:
        record = card.parity.get(engine, {})
        try:
            difference, flipped = float(record["max_probability_difference"]), int(record["flipped_pixels"])
        except (KeyError, TypeError, ValueError):
            raise UntrustedError(f"its card has files of the engine {engine} but no parity record of it") from None
        if flipped or not difference <= PARITY_TOLERANCE:
            raise UntrustedError(
                f"its engine {engine} differs from the reference by {difference:g} in a probability (limit "
                f"{PARITY_TOLERANCE:g}) and in {flipped} pixels (limit 0)"
            )


def _samples(members: Mapping[str, bytes], card: ModelCard) -> dict[str, bytes]:
    """The scans of the known answers, which must be those that were answered."""
    if not card.known_answers:
        raise UntrustedError("it holds no known answers; make it with scripts/package")
    samples = {}
    for known in card.known_answers:
        name = str(known.get("sample", ""))
        samples[name] = _read(members, f"samples/{name}")
        if digest_of(samples[name]) != f"sha256:{known.get('sha256')}":
            raise UntrustedError(f"its samples/{name} is not the scan that the known answer was recorded with")
    return samples
