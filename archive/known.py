"""Known answers: what a release says to the sample scans, recorded at packaging, asked again wherever it runs.

They show that an installation computes what the packaging machine computed. They say nothing about quality."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handler.pipeline import Model

# Two machines' arithmetic differs in the last bits: enough to move a probability by 1e-5, or flip a pixel at the edge.
PROBABILITY_TOLERANCE = 1e-3
PIXEL_TOLERANCE = 5
PIXEL_TOLERANCE_SHARE = 0.005
# Half precision, which the torch engine takes on CUDA: packaging holds it to the same (archive/convert.py). It
# carries 11 bits; over the layers of the released networks that came to 7e-4 (1.0) and 8e-3 (2.0) of probability. The
# pixels it may flip lie along the edge of a lesion.
HALF_PROBABILITY_TOLERANCE = 2e-2
HALF_PIXEL_TOLERANCE_SHARE = 0.05
CUDA_DRIVER = Path("/dev/nvidiactl")


def digest_answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a JSON answer that is known beforehand."""
    if "probabilities" in body:
        named = {name: _rounded(chance) for name, chance in body["probabilities"].items()}
        return {"sha256": body["input"]["sha256"], "label": body["label"], "probabilities": named}
    return {
        "sha256": body["input"]["sha256"],
        "verdict": body["verdict"],
        "tumor_pixels": body["tumor_pixels"],
        "slices": [[s["tumor_pixels"], _rounded(s["max_probability"])] for s in body["slices"]],
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)


def record(model: Model, samples: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """Runs ``model`` on every sample, a classifier on those of one slice; raises ``RuntimeError`` when one is
    refused."""
    from handler.pipeline import answer  # pulls in torch, which whoever only compares does not need
    from handler.types.way import classify

    names = model.card.architecture.classifies
    ask, chosen = (classify, [one for one in samples if one.suffix == ".png"]) if names else (answer, samples)
    known = []
    for sample in chosen:
        outcome = ask(model, {"body": sample.read_bytes()}, {"X-BrainSeg-Outputs": "none"})
        if outcome.code != "ok":
            raise RuntimeError(f"sample {sample.name} was refused: {outcome.answer.body.decode()}")
        known.append({"sample": sample.name, **digest_answer(json.loads(outcome.answer.body))})
    return tuple(known)


def misjudged(known: Sequence[Mapping[str, Any]]) -> list[str]:
    """The samples whose recorded verdict is not what they were drawn to show, in words.

    Phantoms are no measure of quality either, but the version that is served by default is shown with them."""
    from samples.make import HAS_LESION  # draws pictures, for which a server has no use

    wrong = []
    for answer in known:
        drawn = "tumor_detected" if HAS_LESION[answer["sample"]] else "no_tumor_detected"
        if answer["verdict"] != drawn:
            wrong.append(f"{answer['sample']}: {answer['verdict']}, drawn for {drawn}")
    return wrong


def computes_in_half() -> bool:
    """Whether a server on this machine may compute in half precision."""
    return CUDA_DRIVER.exists()


def difference(expected: Mapping[str, Any], body: Mapping[str, Any], half: bool | None = None) -> str | None:
    """What separates the answer ``body`` from the ``expected`` one, in words; None when they agree. ``half``: allow for
    half precision (None: where there is a CUDA driver)."""
    half = computes_in_half() if half is None else half
    share = HALF_PIXEL_TOLERANCE_SHARE if half else PIXEL_TOLERANCE_SHARE
    allowed = HALF_PROBABILITY_TOLERANCE if half else PROBABILITY_TOLERANCE
    found = digest_answer(body)
    if found["sha256"] != expected["sha256"]:
        return "the sample is not the one the answer was recorded with"
    if "probabilities" in expected or "probabilities" in found:
        return _other_class(expected, found, allowed)
    if found["verdict"] != expected["verdict"]:
        return f"verdict {found['verdict']}, expected {expected['verdict']}"
    if len(found["slices"]) != len(expected["slices"]):
        return f"{len(found['slices'])} slices, expected {len(expected['slices'])}"
    for index, (got, want) in enumerate(zip(found["slices"], expected["slices"], strict=True)):
        if None in (*got, *want):  # a slice that the gate refuses
            if got != want:
                return f"slice {index}: {got[0]} tumour pixels, expected {want[0]}"
            continue
        if abs(got[0] - want[0]) > max(PIXEL_TOLERANCE, share * want[0]):
            return f"slice {index}: {got[0]} tumour pixels, expected {want[0]}"
        if abs(got[1] - want[1]) > allowed:
            return f"slice {index}: largest probability {got[1]}, expected {want[1]}"
    return None


def _other_class(expected: Mapping[str, Any], found: Mapping[str, Any], allowed: float) -> str | None:
    """As :func:`difference`, of a classifier. The label may be another where two classes are as good as equal."""
    want, got = expected.get("probabilities", {}), found.get("probabilities", {})
    if want.keys() != got.keys():
        return f"classes {', '.join(got) or 'none'}, expected {', '.join(want) or 'none'}"
    for name, chance in want.items():
        if abs(got[name] - chance) > allowed:
            return f"{name} with {got[name]}, expected {chance}"
    return None
