"""The importable client: typed results and typed errors."""

from __future__ import annotations

import ast
import io
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

import brainseg_client
from brainseg_client import (
    BrainSegError,
    Client,
    NotFoundError,
    ScanError,
    Segmentation,
    Slice,
    UnreachableError,
    in_windows,
)
from serving.ports import free_port


@pytest.fixture(scope="module")
def client(door: str) -> Client:
    return Client(door)


@pytest.mark.server
def test_a_result_is_typed_and_whole(client: Client, lesion: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(lesion)
    found = client.segment(path, threshold=0.5, min_lesion_pixels=0, outputs=("mask",))
    assert found.tumor_detected
    assert (found.model.version, found.input.width, found.threshold) == ("1.0", 256, 0.5)
    mask = imagecodecs.png_decode(found.slices[0].images["mask"])
    assert np.count_nonzero(mask) == found.tumor_pixels
    assert found.request_id
    assert client.segment(str(path), version="2.0", outputs=()).model.version == "2.0"


@pytest.mark.server
def test_settings_reach_the_server(client: Client, stack: bytes) -> None:
    found = client.segment(
        stack, outputs=("mask",), slices=(2, 3), intensity_range=(0, 200), threshold=np.float64(0.25)
    )
    assert [bool(one.images) for one in found.slices] == [False, False, True, True, False, False, False, False]
    assert found.threshold == 0.25


@pytest.mark.server
def test_bare_masks(client: Client, lesion: bytes, stack: bytes) -> None:
    assert imagecodecs.png_decode(client.mask(lesion)).shape == (256, 256)
    assert tifffile.imread(io.BytesIO(client.mask(stack, tiff=True, threshold=0.4))).shape == (8, 256, 256)


@pytest.mark.server
def test_errors_are_typed(client: Client, lesion: bytes) -> None:
    for call, kind, code in (
        (lambda: client.segment(b"GIF89a"), ScanError, "unsupported_format"),
        (lambda: client.segment(lesion[:3000]), ScanError, "corrupt_image"),
        (lambda: client.segment(lesion, threshold=2), ScanError, "invalid_parameter"),
        (lambda: client.segment(lesion, version="7"), NotFoundError, "model_not_found"),
    ):
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.code == code
        assert caught.value.request_id
        assert isinstance(caught.value, BrainSegError)


@pytest.mark.server
def test_models_and_readiness(client: Client) -> None:
    versions = client.models()
    assert [(one.version, one.default) for one in versions] == [("1.0", True), ("2.0", False)]
    assert versions[0].card
    assert versions[0].card["threshold"] == 0.5


def test_nobody_there() -> None:
    nobody = Client(f"http://127.0.0.1:{free_port()}", patience=0.8)
    assert not nobody.ready()
    begin = time.monotonic()
    with pytest.raises(UnreachableError):
        nobody.segment(b"x")
    assert 0.2 < time.monotonic() - begin < 120  # it tried again, and gave up


@pytest.mark.server
def test_windows_are_halved_until_they_fit(client: Client, stack: bytes) -> None:
    asked: list[tuple[int, int] | None] = []

    def fetch(slices: tuple[int, int] | None, pictures: bool) -> Segmentation:
        asked.append(slices)
        if pictures and (slices is None or slices[1] - slices[0] > 2):
            raise ScanError("response_too_large", "too large", 413)
        return client.segment(stack, outputs=("mask",) if pictures else (), slices=slices)

    found = in_windows(fetch)
    assert asked == [None, None, (0, 7), (0, 3), (0, 1), (2, 3), (4, 7), (4, 5), (6, 7)]
    whole = client.segment(stack, outputs=("mask",))

    def masks(slices: tuple[Slice, ...]) -> list[bytes]:
        return [one.images["mask"] for one in slices]

    assert masks(found.slices) == masks(whole.slices)


@pytest.mark.parametrize("name", brainseg_client.__all__)
def test_the_package_gives_what_it_names(name: str) -> None:
    assert getattr(brainseg_client, name).__name__ == name
    assert name in ast.unparse(
        ast.parse(Path(brainseg_client.__file__).read_text("utf-8")).body[3]
    )  # for type checkers


def test_the_package_gives_nothing_else() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = brainseg_client.Nothing
