"""A gate travels in the archive, and only the one that the card names is believed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from archive.errors import UntrustedError
from archive.mar import pack
from archive.verify import read_release, verify
from handler.card import FileRecord, read_card
from handler.trust.gate import WEIGHTS_FILE, settings_of
from tests.gates import by_t1, network_by_t1
from tests.tiny import package_quietly, write_tiny_release

pytestmark = pytest.mark.slow


def test_it_is_packaged_asked_and_verified(tmp_path: Path) -> None:
    release = write_tiny_release(tmp_path, "2.1")
    (release / WEIGHTS_FILE).write_bytes(network_by_t1(0.2))  # the samples' heads are brighter
    gate = settings_of(by_t1(0.2), FileRecord.of(release / WEIGHTS_FILE))
    read_card(release).with_changes(trust={"gate": gate}).write(release)
    archive = tmp_path / "brainseg-2.1.mar"
    card = package_quietly(release, archive)
    assert {known["verdict"] for known in card.known_answers} == {"not_assessed"}
    assert json.loads(json.dumps(read_release(archive).card.trust["gate"])) == gate
    with zipfile.ZipFile(archive) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    members[WEIGHTS_FILE] = network_by_t1(0.3)
    with pytest.raises(UntrustedError):
        verify(pack(members))
    del members[WEIGHTS_FILE]
    with pytest.raises(UntrustedError):
        verify(pack(members))
