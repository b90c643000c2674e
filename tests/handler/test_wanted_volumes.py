"""Nobody waits any more while a volume is unpacked, decoded, laid over another, segmented or written: the work ends at
the next piece. ``docs/security.md`` has the seconds between two pieces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handler import wanted
from handler.pipeline import Model, answer
from handler.wanted import UnwantedError
from prove.drawn.volumes import dicom_zip, nifti
from tests.handler.models import FLAIR_RULE, model
from tests.handler.volumes.test_way import head

FORM = {"content-type": "multipart/form-data", "x-brainseg-outputs": "mask"}


@pytest.fixture(scope="module")
def finder() -> Model:
    return model(FLAIR_RULE, batch=4, min_lesion_pixels=0)


@pytest.fixture
def gone_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], list[str]]]:
    """Who waits is gone as soon as ``function`` of ``module`` has been asked from; the functions that asked until
    then."""
    told: list[str] = []

    def arrange(module: str, function: str) -> list[str]:
        def ask() -> None:
            frame = sys._getframe(2)
            own = (Path(frame.f_code.co_filename).stem, frame.f_code.co_name)
            told.append(".".join(own))
            if f"{module}.{function}" in told:
                raise UnwantedError

        monkeypatch.setattr(wanted, "asker", lambda _headers: ask)
        return told

    yield arrange
    assert told


def parts(*names: str) -> dict[str, Any]:
    scan, _ = head()
    return {name: bytearray(nifti(scan, packed=True)) for name in names}


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("gzips", "gunzip"),
        ("nifti", "_scaled"),
        ("register", "register"),
        ("register", "_end_unwanted"),
        ("channels", "_beside"),
        ("infer", "shown"),
        ("infer", "infer"),
        ("pipeline", "segment"),
        ("lesions", "measure"),
    ],
)
def test_in_each_stage_of_a_nifti(
    module: str, function: str, finder: Model, gone_in: Callable[[str, str], list[str]]
) -> None:
    if module == "register":
        pytest.importorskip("SimpleITK")
    told = gone_in(module, function)
    fields = {"x-brainseg-register": "rigid"} if module == "register" else {}
    assert answer(finder, parts("flair", "t1"), {**FORM, **fields}).code == "gone"
    # A search that was told to end may ask a last time.
    assert set(told[told.index(f"{module}.{function}") :]) <= {f"{module}.{function}", "register.register"}


@pytest.mark.parametrize(
    ("module", "function"), [("zips", "unzip"), ("series", "_parsed"), ("series", "_filled"), ("seg", "_unfinished")]
)
def test_in_each_stage_of_a_dicom_series(
    module: str, function: str, finder: Model, gone_in: Callable[[str, str], list[str]]
) -> None:
    told = gone_in(module, function)
    sent = {"file": bytearray(dicom_zip(head()[0]))}
    assert answer(finder, sent, {**FORM, "accept": "application/dicom"}).code == "gone"
    assert told[-1] == f"{module}.{function}"
    assert told.count(told[-1]) == 1
