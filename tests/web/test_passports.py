"""Passports on their whole way: signed by the front door, checked by the client, and the same again after a restart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import requests

from archive.store import archive_path
from brainseg_client.api import Client
from brainseg_client.command import main
from brainseg_client.passport import PassportError, read_passport
from handler.card import read_card
from handler.engines import automatic
from prove.drawn.volumes import nifti, phantom
from prove.server import Server
from samples.make import png, stack_tiff
from samples.phantom import draw, draw_stack
from signing.keys import PRIVATE, TRUSTED, KeyFileError, make_keys, rotate_keys
from tests.web.inside import Inside, opened
from tests.web.standin import Stage, standing_in
from tests.web.workers import unpacked, working
from web.app import create_app
from web.settings import Settings
from web.way.passports import Passports

ENGINES = ("ncnn", "torch")


@dataclass(frozen=True)
class Kept:
    """A scan and the answer that came with a passport, as a client keeps them."""

    scan: Path
    answer: Path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory, detector_store: Path) -> Path:
    return unpacked(archive_path("1.0", detector_store), tmp_path_factory.mktemp("unpacked"))


@contextmanager
def running(release: Path, engine: str, keys: Path) -> Iterator[Inside]:
    """A front door and a worker, both started anew; what stays is the folder of keys."""
    with (
        working(release, engine) as url,
        opened(Settings(inference_url=url, management_url=url, passport_keys=keys)) as inside,
    ):
        yield inside


def scans(count: int) -> list[tuple[str, bytes]]:
    """Pictures with and without lesion, stacks, volumes."""
    found = []
    for seed in range(count):
        if seed % 6 == 4:
            found.append((f"{seed}.tiff", stack_tiff(draw_stack(seed, 3))))
        elif seed % 6 == 5:
            found.append((f"{seed}.nii.gz", nifti(phantom(seed=seed))))
        else:
            found.append((f"{seed}.png", png(draw(seed, lesion_radius=0.03 * (seed % 4)))))
    return found


def ask(url: str, number: int, scan: bytes) -> bytes:
    query = {"passport": "on", "outputs": "none", "threshold": f"{0.2 + 0.1 * (number % 6):.3f}"}
    if number % 3 == 1:
        query["min_lesion_pixels"] = str(number)
    reply = requests.post(f"{url}/api/v1/segment", params=query, data=scan, timeout=600)
    assert reply.status_code == 200, reply.text
    return reply.content


def keep(url: str, folder: Path, count: int) -> list[Kept]:
    kept = []
    folder.mkdir()
    for number, (name, scan) in enumerate(scans(count)):
        one = Kept(folder / name, folder / f"{number}.json")
        one.scan.write_bytes(scan)
        one.answer.write_bytes(ask(url, number, scan))
        kept.append(one)
    return kept


def replayed(url: str, kept: Sequence[Kept], keys: Path) -> int:
    """How many of ``kept`` come out the same, pixel for pixel."""
    trusted = ["--keys", str(keys / "trusted")]
    return sum(main(["verify", str(one.answer), str(one.scan), "--server", url, *trusted]) == 0 for one in kept)


def test_a_dozen_passports_of_two_engines_are_the_same_after_a_restart(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, kept = tmp_path / "keys", {}
    for engine in ENGINES:
        with running(release, engine, keys) as inside:
            kept[engine] = keep(inside.url, tmp_path / engine, 6)
    rotate_keys(keys)  # what the old key signed stays good
    for engine in ENGINES:
        with running(release, engine, keys) as inside:
            assert replayed(inside.url, kept[engine], keys) == 6, capsys.readouterr().err
        content = read_passport(json.loads(kept[engine][0].answer.read_bytes()), pems(keys)).content
        assert content["engine"]["name"] == engine
    found = {
        read_passport(json.loads(one.answer.read_bytes()), pems(keys)).figures["verdict"]
        for one in [*kept["ncnn"], *kept["torch"]]
    }
    assert found == {"tumor_detected", "no_tumor_detected"}  # a replay of nothing but empty masks would show little


@pytest.mark.long  # the released network, a hundred answers for each engine: seven minutes of a quiet machine
@pytest.mark.timeout(3600)
def test_two_hundred_passports_of_the_released_network(server: Server, tmp_path: Path) -> None:
    """The whole product's archive, a hundred for the engine that was chosen for it and for PyTorch: too slow for every
    day."""
    release = unpacked(archive_path("2.0", server.store), tmp_path / "unpacked")
    for engine in sorted({automatic(read_card(release)), "torch"}):
        keys = tmp_path / f"{engine}-keys"
        with running(release, engine, keys) as inside:
            kept = keep(inside.url, tmp_path / engine, 100)
        with running(release, engine, keys) as inside:
            assert replayed(inside.url, kept, keys) == 100


def pems(keys: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (keys / "trusted").glob("*.pub")}


def test_another_mask_is_no_replay_and_says_what_differs(
    release: Path, tmp_path: Path, lesion: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that was changed behind the same version."""
    from safetensors.numpy import load_file, save_file

    from handler.card import FileRecord, read_card

    keys = tmp_path / "keys"
    with running(release, "torch", keys) as inside:
        answer = ask(inside.url, 0, lesion)
    (tmp_path / "lesion.png").write_bytes(lesion)
    (tmp_path / "answer.json").write_bytes(answer)
    other = tmp_path / "other"
    other.mkdir()
    card = read_card(release)
    weights = load_file(release / card.weights.file)
    weights["segmentation_head.0.bias"] = np.array(weights["segmentation_head.0.bias"]) + 4
    save_file(weights, other / card.weights.file)
    card.with_changes(weights=FileRecord.of(other / card.weights.file)).write(other)
    with running(other, "torch", keys) as inside:
        words = ["verify", str(tmp_path / "answer.json"), str(tmp_path / "lesion.png"), "--server", inside.url]
        assert main(words) == 1
    said = capsys.readouterr().err
    assert "the mask differs" in said
    assert "archive" in said


def test_key_files_are_private_and_the_public_ones_are_listed(release: Path, tmp_path: Path, lesion: bytes) -> None:
    keys = tmp_path / "keys"
    with running(release, "torch", keys) as inside:
        assert (keys / PRIVATE).stat().st_mode & 0o777 == 0o600
        first = requests.get(f"{inside.url}/api/v1/passport-keys", timeout=60).json()["keys"]
        assert [one["signs"] for one in first] == [True]
        rotate_keys(keys)
        listed = requests.get(f"{inside.url}/api/v1/passport-keys", timeout=60).json()["keys"]
        assert sorted(one["signs"] for one in listed) == [False, True]
        signer = next(one["keyid"] for one in listed if one["signs"])
        assert signer != first[0]["keyid"]
        reply = json.loads(ask(inside.url, 0, lesion))
        assert [one["keyid"] for one in reply["passport"]["signatures"]] == [signer]
        assert Client(inside.url).passport_keys() == {one["keyid"]: one["public_key"] for one in listed}
        private = "".join((keys / PRIVATE).read_text().splitlines()[1:-1])
        assert private not in json.dumps(listed) + json.dumps(reply)


def test_a_mask_by_itself_has_its_passport_in_a_header(release: Path, tmp_path: Path, lesion: bytes) -> None:
    keys = tmp_path / "keys"
    with running(release, "torch", keys) as inside:
        url = f"{inside.url}/api/v1/segment"
        bare = requests.post(url, params={"passport": "on"}, data=lesion, headers={"Accept": "image/png"}, timeout=600)
        plain = requests.post(url, data=lesion, timeout=600)
    assert bare.headers["Content-Type"] == "image/png"
    passport = read_passport(json.loads(base64.b64decode(bare.headers["X-BrainSeg-Passport"])), pems(keys))
    assert passport.figures["tumor_pixels"] == plain.json()["tumor_pixels"]
    assert "X-BrainSeg-Passport" not in plain.headers
    assert plain.json()["passport"] is None


def test_changed_unsigned_and_foreign_passports_are_refused(
    release: Path, tmp_path: Path, lesion: bytes, healthy: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    with running(release, "torch", keys) as inside:
        answer = json.loads(ask(inside.url, 0, lesion))
    passport = answer["passport"]
    content = json.loads(base64.b64decode(passport["payload"]))
    content["figures"]["tumor_pixels"] = 0
    forged = {**passport, "payload": base64.b64encode(json.dumps(content).encode()).decode()}
    with pytest.raises(PassportError, match="changed after"):
        read_passport(forged, pems(keys))
    with pytest.raises(PassportError, match="not signed"):
        read_passport({**passport, "signatures": []}, pems(keys))
    with pytest.raises(PassportError, match="not trusted"):
        read_passport(passport, {})
    for odd in ({"passport": None}, {}, [], {**passport, "payload": "="}, {**passport, "signatures": 3}):
        with pytest.raises(PassportError):
            read_passport(odd, pems(keys))
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    for name, scan in (("lesion.png", lesion), ("healthy.png", healthy)):
        (tmp_path / name).write_bytes(scan)
    place = ["--keys", str(keys / "trusted")]
    assert main(["verify", str(tmp_path / "answer.json"), str(tmp_path / "lesion.png"), *place]) == 0
    assert main(["verify", str(tmp_path / "answer.json"), str(tmp_path / "healthy.png"), *place]) == 1
    assert "another scan" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "lesion.png"), str(tmp_path / "lesion.png"), *place]) == 1
    assert main(["verify", str(tmp_path / "answer.json"), str(tmp_path / "lesion.png")]) == 2
    assert main(["verify", str(tmp_path / "none.json"), str(tmp_path / "lesion.png"), *place]) == 2


def test_without_a_key_a_passport_is_refused_before_the_network_runs(lesion: bytes) -> None:
    with standing_in(Stage()) as stage, opened(Settings(stage.url, stage.url)) as inside:
        reply = requests.post(f"{inside.url}/api/v1/segment?passport=on", data=lesion, timeout=60)
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_parameter")
        assert stage.predicted() == 0
        assert requests.get(f"{inside.url}/api/v1/passport-keys", timeout=60).json() == {"keys": []}


def test_through_torchserve(detector: Server, lesion: bytes, tmp_path: Path) -> None:
    """The field, the header and the key of a server as it is started; a mask by itself and JSON say the same."""
    client = Client(detector.door)
    found = client.segment(lesion, passport=True)
    assert found.passport is not None
    read = read_passport(found.passport, client.passport_keys())
    assert read.content["archive"].startswith("sha256:")
    assert read.figures["tumor_pixels"] == found.tumor_pixels
    headers = {"Accept": "image/png", "X-BrainSeg-Passport": "on"}
    bare = requests.post(f"{detector.door}/api/v1/segment", data=lesion, headers=headers, timeout=600)
    carried = json.loads(base64.b64decode(bare.headers["X-BrainSeg-Passport"]))
    assert read_passport(carried, client.passport_keys()).mask == read.mask
    assert (detector.state / "passport-keys" / PRIVATE).stat().st_mode & 0o777 == 0o600
    direct = detector.post(lesion, X_BrainSeg_Passport="on")
    with pytest.raises(PassportError, match="not signed"):
        read_passport(direct.json(), client.passport_keys())


def test_keys_that_cannot_be_read_keep_the_door_from_starting(tmp_path: Path) -> None:
    make_keys(tmp_path)
    (trusted,) = (tmp_path / TRUSTED).iterdir()
    good = trusted.read_bytes()
    trusted.write_bytes(b"no key")
    with pytest.raises(KeyFileError, match="holds no public key in PEM"):
        Passports(tmp_path)
    trusted.write_bytes(good)
    (tmp_path / PRIVATE).chmod(0o644)
    with pytest.raises(KeyFileError, match="may be read by others"):
        Passports(tmp_path)


def test_keys_that_turn_bad_while_it_runs_are_no_fault_of_who_asks(tmp_path: Path) -> None:
    with standing_in(Stage()) as stage:
        client = create_app(Settings(stage.url, stage.url, passport_keys=tmp_path)).test_client()
        assert len(client.get("/api/v1/passport-keys").json["keys"]) == 1
        (tmp_path / PRIVATE).write_bytes(b"no key")
        reply = client.get("/api/v1/passport-keys")
        assert (reply.status_code, reply.json["code"]) == (503, "not_ready")
        assert str(tmp_path) not in reply.text
        assert client.get("/livez").status_code == 200
