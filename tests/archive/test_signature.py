"""A signature holds an archive to its name, its version and every byte of its members."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest
import typer

from archive.__main__ import main
from archive.digests import SIGNATURE_FILE, check_record, write_record
from archive.errors import UntrustedError
from archive.inputs import is_current
from archive.mar import pack, sign_archive
from archive.store import ROOT
from archive.verify import read_release, verify
from prove.releases import versioned
from rollout.signers import Signers, chosen, read_signers, write_signers
from serving.chosen import to_serve
from serving.running import StartError
from serving.torchserve import Places
from signing.keys import PRIVATE, TRUSTED, load_private, make_keys, remove_key, rotate_keys
from tests.rollout.stage import ARCHIVE, RELEASE, repack


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, packaged: Path, keys: Path) -> Path:
    """The tiny release and its archive, signed."""
    folder = shutil.copytree(packaged, tmp_path_factory.mktemp("signed") / "store")
    main(["1.0"], folder, None, if_stale=True, sign=keys / PRIVATE)
    return folder


def refused(archive: Path, keys: Path) -> str:
    with pytest.raises(UntrustedError) as why:
        Signers(keys).check(read_release(archive), archive.name)
    return str(why.value)


def test_a_signed_archive_is_what_it_was_and_is_vouched_for(store: Path, packaged: Path, keys: Path) -> None:
    archive = store / ARCHIVE
    assert "trusted key" in Signers(keys).check(read_release(archive), ARCHIVE)
    assert "trusted key" in Signers(keys / TRUSTED).check(read_release(archive), read_release(archive).file_name)
    check_record(archive)
    assert is_current(archive, store / RELEASE)
    with zipfile.ZipFile(archive) as now, zipfile.ZipFile(packaged / ARCHIVE) as before:
        assert set(now.namelist()) - set(before.namelist()) == {SIGNATURE_FILE}
        assert all(now.read(name) == before.read(name) for name in before.namelist())


def test_signing_again_changes_nothing_and_another_key_takes_its_place(store: Path, keys: Path, tmp_path: Path) -> None:
    archive = Path(shutil.copy(store / ARCHIVE, tmp_path / ARCHIVE))
    before = archive.read_bytes()
    sign_archive(archive, load_private(keys / PRIVATE))
    assert archive.read_bytes() == before
    make_keys(tmp_path / "others")
    sign_archive(archive, load_private(tmp_path / "others" / PRIVATE))
    assert "which is not trusted" in refused(archive, keys)
    assert "trusted key" in Signers(tmp_path / "others").check(read_release(archive), ARCHIVE)


def test_unsigned_foreign_and_renamed_archives_are_refused(
    store: Path, packaged: Path, keys: Path, tmp_path: Path
) -> None:
    make_keys(tmp_path / "others")
    assert "not signed" in refused(packaged / ARCHIVE, keys)
    assert "which is not trusted" in refused(store / ARCHIVE, tmp_path / "others")
    assert "renamed" in refused(Path(shutil.copy(store / ARCHIVE, tmp_path / "brainseg-2.0.mar")), keys)


def test_a_changed_member_a_swapped_version_and_an_added_member_are_refused(
    store: Path, keys: Path, tmp_path: Path
) -> None:
    """Each with digests made anew, as who changes them would."""
    code = repack(store / ARCHIVE, tmp_path / ARCHIVE, {"handler/measure.py": lambda content: content + b"\n# more\n"})
    assert "of another archive" in refused(code, keys)
    assert "of another archive" in refused(versioned(store / ARCHIVE, tmp_path / "brainseg-2.0.mar", "2.0"), keys)
    with zipfile.ZipFile(store / ARCHIVE) as source:
        members = {name: source.read(name) for name in source.namelist()}
    (tmp_path / "plain.mar").write_bytes(pack({**members, "digests.json": members["digests.json"] + b" "}))
    assert "of another archive" in refused(tmp_path / "plain.mar", keys)
    with pytest.raises(UntrustedError, match=f"its {SIGNATURE_FILE} cannot be read"):
        verify(pack({**members, SIGNATURE_FILE: b"[]"}))
    envelope = json.loads(members[SIGNATURE_FILE])
    envelope["signatures"] = []
    (tmp_path / "brainseg-1.0.mar").write_bytes(pack({**members, SIGNATURE_FILE: json.dumps(envelope).encode()}))
    assert "not signed" in refused(tmp_path / "brainseg-1.0.mar", keys)


def test_a_rotated_key_stays_good_until_it_is_removed(store: Path, keys: Path, tmp_path: Path) -> None:
    mine = shutil.copytree(keys, tmp_path / "keys")
    (mine / PRIVATE).chmod(0o600)
    old = next((mine / TRUSTED).glob("*.pub")).stem
    rotate_keys(mine)
    assert old in Signers(mine).check(read_release(store / ARCHIVE), ARCHIVE)
    remove_key(mine, old)
    assert "which is not trusted" in refused(store / ARCHIVE, mine)


def test_packaging_with_what_is_no_key_makes_nothing(packaged: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    (tmp_path / "text").chmod(0o600)
    shutil.copytree(packaged / RELEASE, tmp_path / "store" / RELEASE)
    with pytest.raises(typer.Exit):
        main(["1.0"], tmp_path / "store", sign=tmp_path / "text")
    assert not (tmp_path / "store" / ARCHIVE).exists()


def test_the_setting_is_shared_and_off_by_default(tmp_path: Path, packaged: Path) -> None:
    assert not read_signers(tmp_path).required
    assert not chosen(False, None, tmp_path).required
    for signers in (chosen(True, None, tmp_path), chosen(False, tmp_path / "theirs", tmp_path), Signers()):
        write_signers(tmp_path, signers)
        assert read_signers(tmp_path) == signers
    assert chosen(True, None, tmp_path).folder == (tmp_path / "trusted-keys").resolve()
    assert "warning" in Signers().check(read_release(packaged / ARCHIVE), ARCHIVE)
    (tmp_path / "signers.json").write_text("{")
    with pytest.raises(UntrustedError, match="cannot be read"):
        read_signers(tmp_path)


def test_serve_starts_the_signed_one_only_and_never_packages_over_it(
    store: Path, packaged: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def serve(model_store: Path, signers: Signers) -> object:
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        return to_serve(Places(state, tmp_path, model_store), threading.Event(), signers)

    assert serve(store, Signers(keys)) == ({"1.0": ARCHIVE}, "1.0")
    assert "trusted key" in capsys.readouterr().out
    with pytest.raises(UntrustedError, match="not signed"):
        serve(packaged, Signers(keys))
    assert serve(packaged, Signers()) == ({"1.0": ARCHIVE}, "1.0")
    assert "not checked (--require-signed)" in capsys.readouterr().out.replace("\n", " ")
    mine = shutil.copytree(store, tmp_path / "stale")
    repack(store / ARCHIVE, mine / ARCHIVE, {"handler/measure.py": lambda content: content + b"#\n"})
    write_record(mine / ARCHIVE)
    with pytest.raises(UntrustedError, match="of another archive"):
        serve(mine, Signers(keys))
    (mine / ARCHIVE).unlink()
    with pytest.raises(StartError, match="--sign KEY"):
        serve(mine, Signers(keys))
    assert not (mine / ARCHIVE).exists()


@pytest.mark.slow
def test_deploy_refuses_what_its_server_would(packaged: Path, store: Path, keys: Path, tmp_path: Path) -> None:
    """With the exit code of a refused archive, before a server is asked for anything."""
    state = tmp_path / "state"
    state.mkdir()
    (state / ".brainseg-state").touch()
    command = [str(ROOT / "scripts" / "deploy"), "release", "--dry-run", "--state", str(state)]

    def deploy(*words: object) -> tuple[int, str]:
        done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = deploy(packaged / ARCHIVE)
    assert (code, "warning" in said) == (8, True)  # no server; a warning until then
    code, said = deploy(packaged / ARCHIVE, "--trusted-keys", keys)
    assert (code, "not signed" in said) == (3, True)
    write_signers(state, Signers(keys))
    code, said = deploy(packaged / ARCHIVE)
    assert (code, "not signed" in said) == (3, True)
    code, said = deploy(store / ARCHIVE)
    assert (code, "trusted key" in said) == (8, True)
