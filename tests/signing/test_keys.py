"""Keys in a folder: private ones stay private, old public ones stay trusted, and what is no key is told so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from archive.store import ROOT
from signing.keys import (
    PRIVATE,
    TRUSTED,
    KeyFileError,
    key_id,
    load_private,
    load_trusted,
    make_keys,
    remove_key,
    rotate_keys,
)


def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    identity = make_keys(folder)
    assert (folder / PRIVATE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert key_id(load_private(folder / PRIVATE).public_key()) == identity
    assert set(load_trusted(folder)) == set(load_trusted(folder / TRUSTED)) == {identity}
    with pytest.raises(KeyFileError, match="already"):
        make_keys(folder)
    assert sorted(path.name for path in folder.iterdir()) == [PRIVATE, TRUSTED]


def test_after_a_rotation_the_old_key_is_trusted_until_it_is_removed(tmp_path: Path) -> None:
    old = make_keys(tmp_path)
    new = rotate_keys(tmp_path)
    assert set(load_trusted(tmp_path)) == {old, new}
    assert key_id(load_private(tmp_path / PRIVATE).public_key()) == new
    with pytest.raises(KeyFileError, match="signs now"):
        remove_key(tmp_path, new)
    remove_key(tmp_path, old)
    assert set(load_trusted(tmp_path)) == {new}
    for unknown in (old, "../signing", ""):
        with pytest.raises(KeyFileError, match="trusts no key"):
            remove_key(tmp_path, unknown)


def test_a_key_that_others_may_read_is_refused_without_showing_it(tmp_path: Path) -> None:
    make_keys(tmp_path)
    (tmp_path / PRIVATE).chmod(0o640)
    with pytest.raises(KeyFileError, match="0640") as refused:
        load_private(tmp_path / PRIVATE)
    assert (tmp_path / PRIVATE).read_text().splitlines()[1] not in str(refused.value)


def test_what_is_no_key_of_ours_is_told_so(tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    files = {
        "empty": b"",
        "text": b"no key",
        "long": b"x" * 10_000,
        "other": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyFileError, match=name):
            load_private(path)
    with pytest.raises(KeyFileError, match="no public key"):
        load_trusted(tmp_path)
    (tmp_path / "theirs.pub").write_bytes(
        other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(KeyFileError, match="another kind"):
        load_trusted(tmp_path)


def test_the_command_makes_rotates_lists_and_removes(tmp_path: Path) -> None:
    def keys(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "scripts.commands.keys", words[0], str(tmp_path / "k"), *words[1:]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    assert keys("make")[0] == 0
    code, listed = keys("list")
    old = listed.split()[0]
    assert (code, listed) == (0, f"{old} signs\n")
    assert keys("make")[0] == 1
    assert keys("remove", old) == (1, f"keys: key {old} signs now; rotate first\n")
    assert keys("rotate")[0] == 0
    assert keys("remove", old)[0] == 0
    assert old not in keys("list")[1]
