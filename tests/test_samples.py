"""The drawn head: the file is what its code draws, no archive's digest hangs on it, and it is given out as it is."""

from __future__ import annotations

import gzip

import pytest
import requests

from archive.inputs import sample_files
from archive.store import SAMPLES
from samples.head import draw_head, nifti_gz
from samples.make import HEAD


def test_the_head_is_what_is_drawn() -> None:
    kept = (SAMPLES / HEAD).read_bytes()
    assert gzip.decompress(kept) == gzip.decompress(nifti_gz(draw_head()))  # packers differ in their bytes
    assert nifti_gz(draw_head()) == nifti_gz(draw_head())
    assert len(kept) < 60_000
    head = draw_head()
    assert head.voxels[head.mask].min() > head.voxels[~head.mask].mean()


def test_archives_do_not_hang_on_it() -> None:
    assert HEAD not in {path.name for path in sample_files()}


@pytest.mark.server
def test_it_is_given_out_packed_as_it_is(door: str) -> None:
    assert HEAD in [sample["file"] for sample in requests.get(f"{door}/samples/", timeout=120).json()]
    reply = requests.get(f"{door}/samples/{HEAD}", timeout=120)
    assert "Content-Encoding" not in reply.headers
    assert reply.content == (SAMPLES / HEAD).read_bytes()
