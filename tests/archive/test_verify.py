"""What an archive must be before anything of it is copied or run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.errors import UntrustedError
from archive.verify import read_release, verify
from tests.rollout.stage import ARCHIVE, CARD, MANIFEST, repack, sha256


@pytest.fixture(scope="session")
def good(packaged: Path) -> Path:
    return packaged / ARCHIVE


def test_a_good_archive_is_read_as_it_is(good: Path) -> None:
    release = read_release(good)
    assert release.version == "1.0"
    assert release.sha256 == sha256(good)
    assert release.content == good.read_bytes()
    assert set(release.samples) == {"lesion.png", "healthy.png", "stack.tiff"}
    assert release.file_name == f"brainseg-1.0-{release.sha256[7:19]}.mar"


def _with_json(name: str, change: Callable[[dict[str, Any]], object]) -> dict[str, Callable[[bytes], bytes]]:
    def changed(content: bytes) -> bytes:
        raw = json.loads(content)
        change(raw)
        return json.dumps(raw).encode()

    return {name: changed}


BROKEN: dict[str, tuple[dict[str, Callable[[bytes], bytes]], str]] = {
    "weights": ({"weights.safetensors": lambda b: b[:-1] + bytes([b[-1] ^ 1])}, "its model card says"),
    "engine file": ({"brainseg.ncnn.bin": lambda b: b + b"\0"}, "its model card says"),
    "sample": ({"samples/lesion.png": lambda b: b + b"\0"}, "not the scan that the known answer"),
    "manifest's version": (_with_json(MANIFEST, lambda m: m["model"].update(modelVersion="9")), "its manifest says"),
    "manifest's name": (_with_json(MANIFEST, lambda m: m["model"].update(modelName="other")), "its manifest says"),
    "requirements": (_with_json(MANIFEST, lambda m: m["model"].update(requirementsFile="r.txt")), "requirementsFile"),
    "no manifest": ({MANIFEST: lambda _: b"{"}, "manifest cannot be read"),
    "card": ({CARD: lambda _: b"{}"}, "not a BrainSeg model card"),
    "version of the card": (_with_json(CARD, lambda c: c.update(version="../2")), "its card is of"),
    "known answers": (_with_json(CARD, lambda c: c.update(known_answers=[])), "no known answers"),
    "no parity": (_with_json(CARD, lambda c: c.update(parity={})), "no parity record"),
    "bad parity": (
        _with_json(CARD, lambda c: next(iter(c["parity"].values())).update(max_probability_difference=0.01)),
        "differs from the reference by 0.01",
    ),
    "flipped pixels": (
        _with_json(CARD, lambda c: next(iter(c["parity"].values())).update(flipped_pixels=3)),
        "in 3 pixels",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_refused_with_its_reason(name: str, good: Path, tmp_path: Path) -> None:
    changes, reason = BROKEN[name]
    if name == "engine file":
        with zipfile.ZipFile(good) as packed:
            engine = next(n for n in packed.namelist() if n.endswith(".bin"))
        changes = {engine: changes["brainseg.ncnn.bin"]}
    with pytest.raises(UntrustedError, match=reason):
        read_release(repack(good, tmp_path / "broken.mar", changes))


def _added(good: Path, name: str, content: bytes = b"x", mode: int = 0o644) -> bytes:
    buffer = io.BytesIO(good.read_bytes())
    with zipfile.ZipFile(buffer, "a") as packed:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        packed.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../escape.py", "/tmp/escape.py", "a/../../escape.py", "C:escape.py"])  # noqa: S108
def test_members_stay_inside(name: str, good: Path) -> None:
    with pytest.raises(UntrustedError, match="outside its folder"):
        verify(_added(good, name))


def test_links_doubles_and_what_can_run_are_refused(good: Path) -> None:
    with pytest.raises(UntrustedError, match="is a link"):
        verify(_added(good, "link", b"/etc/passwd", 0o120777))
    with pytest.raises(UntrustedError, match="comes twice"):
        verify(_added(good, "SERVICE.py"))
    for name in ("model.pt", "extra/cache.pkl", "fast.so"):
        with pytest.raises(UntrustedError, match="can run code"):
            verify(_added(good, name))


def test_any_damage_is_refused(good: Path) -> None:
    """A byte changed here and there, and a file that ends early: refused, and never another error."""
    content = good.read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9, 0.999):
        with pytest.raises(UntrustedError):
            verify(content[: int(share * len(content))])
    for place in range(40, len(content), len(content) // 12):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        try:
            verify(bytes(damaged))
        except UntrustedError:
            continue
        with zipfile.ZipFile(io.BytesIO(content)) as a, zipfile.ZipFile(io.BytesIO(bytes(damaged))) as b:
            assert {n: a.read(n) for n in a.namelist()} == {n: b.read(n) for n in b.namelist()}  # a byte of no meaning


def test_nothing_that_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UntrustedError, match="cannot be read"):
        read_release(tmp_path / "none.mar")
    with pytest.raises(UntrustedError, match="damaged or no archive"):
        verify(b"not a zip")
