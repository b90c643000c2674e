"""JSON schemas of the answers, each under the name that a generated client gives it. Every key of the contract is
required: unknown is null, never absent. Keys may be added, so none is forbidden."""

from __future__ import annotations

from typing import Any

from web.contract.fields import (
    FILE_PART,
    HTTP_PROBLEMS,
    INSTANCE,
    NOTICE,
    OUTPUTS,
    PASSPORT_KIND,
    PROBLEMS,
    REASONS,
    SEQUENCE_PARTS,
    VERDICTS,
)
from web.health.standing import ROLES

TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
NUMBER: dict[str, Any] = {"type": "number"}
AMOUNT: dict[str, Any] = {"type": "number", "minimum": 0}
PROBABILITY: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
PERCENT: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 100}
SHA256: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
BINARY: dict[str, Any] = {"type": "string", "format": "binary"}  # as generators of clients know bytes
PNG: dict[str, Any] = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}


def reference(name: str, place: str = "schemas") -> dict[str, Any]:
    """A reference to one of :data:`SCHEMAS`, or of the components at ``place``."""
    return {"$ref": f"#/components/{place}/{name}"}


def _object(about: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": about, "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    exact = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": items, **exact}


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _said(schema: dict[str, Any], about: str) -> dict[str, Any]:
    return {**schema, "description": about}


_SIZE = _list({"type": "integer", "minimum": 1}, 3)
_POINT = _list(NUMBER, 3)
_YES_NO_UNKNOWN = _or_null({"type": "boolean"})
_JUDGED = {
    "accepted": _said(_YES_NO_UNKNOWN, "Whether the scan is of a kind that the model knows."),
    "score": _or_null(PROBABILITY),
    "reasons": _list(_one_of(*REASONS)),
}
_DOUBT = {
    "uncertain": _said(_YES_NO_UNKNOWN, "Whether the model doubts its own mask."),
    "expected_dice": _or_null(PROBABILITY),
}
_FOUND_ON_SLICE = {"pixels": _or_null(COUNT), "max_probability": _or_null(PROBABILITY)}
_FOUND = {**_FOUND_ON_SLICE, "volume_ml": _said(_or_null(AMOUNT), "Null for a picture.")}
_VERSION = {
    "version": TEXT,
    "default": {"type": "boolean"},
    "workers": reference("Workers"),
    "card": _or_null({"type": "object", "description": "The model card; null while no worker gives it."}),
}

SCHEMAS: dict[str, Any] = {
    "Form": {
        "type": "object",
        "description": "A picture or a volume as `file`; or the sequences of one scan, each in a part of its own, at "
        "least `flair`.",
        "properties": dict.fromkeys((FILE_PART, *SEQUENCE_PARTS), BINARY),
        "minProperties": 1,
        "additionalProperties": False,
    },
    "Segmentation": _object(
        "What was found in a scan. What only a scan with geometry has is null for a picture.",
        model=reference("Model"),
        input=reference("Input"),
        threshold=_said(PROBABILITY, "Probability above which a pixel counts as tumour."),
        min_lesion_pixels=_said(COUNT, "Smaller components were dropped."),
        verdict=_said(_one_of(*VERDICTS), "Whether any tumour pixel is left, or that nobody may say."),
        tumor_pixels=_or_null(COUNT),
        tta={"enum": ["none", "flip"]},
        total_pixels=COUNT,
        tumor_coverage_percent=_or_null(PERCENT),
        max_probability=_or_null(PROBABILITY),
        labels=_said(_or_null(_list(reference("Label"))), "What the mask's values are; null: tumour or none."),
        regions=_said(_or_null(_list(reference("Region"))), "Unions of labels; null where there are none."),
        trust=reference("Trust"),
        tumor_volume_ml=_or_null(AMOUNT),
        lesion_count=_or_null(COUNT),
        lesion_connectivity=_or_null({"type": "integer", "enum": [26]}),
        lesions=_or_null(_list(reference("Lesion"))),
        sequences=_or_null(_list(reference("Sequence"))),
        slices=_list(reference("Slice")),
        warnings=_list(reference("Warning")),
        timing_ms=reference("Timing"),
        passport=_or_null(reference("Passport")),
        notice={"type": "string", "const": NOTICE},
    ),
    "Explanation": _object(
        "What of a slice moves the answer, and how far that can be believed.",
        model=reference("Model"),
        input=reference("Picture"),
        slice=COUNT,
        method=_one_of("gradcam", "occlusion"),
        question=_one_of("verdict", "area"),
        threshold=PROBABILITY,
        window=_said(_or_null(COUNT), "Of occlusion: the side of what was covered, in pixels of the network's grid."),
        windows=_said(_or_null(COUNT), "Of occlusion: how many there were."),
        layer=_said(_or_null(reference("Layer")), "Of gradcam."),
        unit=_said(_or_null(TEXT), "Of the map's values; null: they have none."),
        baseline=_said(_list(PROBABILITY, 3), "What a blanked pixel became: red, green and blue, the head's median."),
        range=_said(_list(NUMBER, 2), "The map's values that 0 and 65535 in its picture stand for."),
        images=_object("PNG in base64: the map in 16-bit grey, and the scan in its colours.", heat=PNG, overlay=PNG),
        said=_said(TEXT, "What is seen, to be shown beside the picture."),
        deletion=reference("Deletion"),
        trust=_object("Of the slice.", **_JUDGED, gate=_one_of("on", "off", "none")),
        seconds=AMOUNT,
        notice={"type": "string", "const": NOTICE},
    ),
    "Classification": _object(
        "Which of the model's classes a slice shows.",
        model=reference("Model"),
        input=reference("Picture"),
        slice=COUNT,
        label=_said(TEXT, "The most likely class."),
        probabilities={
            "type": "object",
            "description": "Of each of the model's classes; together 1.",
            "additionalProperties": PROBABILITY,
        },
        trust=_object("Of the slice; null: this version cannot say.", **_JUDGED, gate=_one_of("on", "off", "none")),
        warnings=_list(reference("Warning")),
        timing_ms=_object("Milliseconds.", decode=AMOUNT, preprocess=AMOUNT, inference=AMOUNT),
        notice={"type": "string", "const": NOTICE},
    ),
    "Picture": _object(
        "The scan as it was read; sizes in pixels.",
        format=_one_of("jpeg", "png", "tiff", "nifti", "dicom"),
        width=COUNT,
        height=COUNT,
        slices=COUNT,
        sha256=SHA256,
    ),
    "Layer": _object(
        "Which of the encoder's features.",
        stage=_said(COUNT, "Counted from 0, the input."),
        cell=_said(COUNT, "Pixels of the network's grid that one stands for."),
        channels=COUNT,
    ),
    "Deletion": _object(
        "What the answer becomes when the brightest tiles of the map are blanked, and as many at random.",
        faithful=_said({"type": "boolean"}, "Whether the brightest move it further down than any of the random draws."),
        share=_said(PROBABILITY, "Of the head's tiles."),
        tile=_said(COUNT, "Their side, in pixels of the network's grid."),
        tiles=_said(COUNT, "How many the head has."),
        blanked=COUNT,
        whole=reference("Left"),
        without_most_important=reference("Left"),
        without_random=_list(reference("Left")),
        said=_said(TEXT, "The same in words, to be shown beside the picture."),
    ),
    "Left": _object(
        "The answer to a picture.",
        score=_said(NUMBER, "What the question is about, in its unit."),
        max_probability=PROBABILITY,
        area=_said(AMOUNT, "The probability over the pixels that are tumour in the whole picture, summed."),
    ),
    "Model": _object(
        "The model version that answered.",
        name=TEXT,
        version=TEXT,
        digest={"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        architecture=TEXT,
    ),
    "Input": _object(
        "The scan as it was read; sizes in pixels.",
        format=_one_of("jpeg", "png", "tiff", "nifti", "dicom"),
        width=COUNT,
        height=COUNT,
        slices=COUNT,
        sha256=SHA256,
        geometry=_or_null(reference("Geometry")),
    ),
    "Geometry": _object(
        "The grid that the mask is on.",
        size=_SIZE,
        spacing_mm=_POINT,
        affine_ras=_list(_list(NUMBER, 4), 4),
        orientation=TEXT,
        source=_one_of("dicom", "sform", "qform", "pixdim"),
    ),
    "Lesion": _object(
        "One connected component of the mask; lengths in mm.",
        voxels=COUNT,
        volume_ml=AMOUNT,
        centroid_mm=_POINT,
        longest_mm=AMOUNT,
        longest_on=reference("Line"),
        slices=_said(_list(COUNT, 2), "First and last slice."),
    ),
    "Line": _object(
        "Where the longest diameter in a slice lies, its ends in pixels.",
        mm=AMOUNT,
        slice=COUNT,
        start=_list(COUNT, 2),
        end=_list(COUNT, 2),
    ),
    "Sequence": _object(
        "What went into one channel of the network.",
        channel=_one_of(*SEQUENCE_PARTS),
        recognised=_said(TEXT, "By what it was recognised."),
        reason=TEXT,
        series=_or_null(COUNT),
        format=_or_null(_one_of("nifti", "dicom")),
        sha256=_or_null(TEXT),
        size=_or_null(_SIZE),
        spacing_mm=_or_null(_POINT),
        resampled=_or_null(_one_of("same_grid", "turned", "trilinear")),
        covered_percent=_or_null(PERCENT),
        registered=_or_null(reference("Registration")),
        intensity=_or_null(reference("Intensity")),
    ),
    "Registration": _object("How far a sequence was moved to agree with FLAIR.", shift_mm=NUMBER, turn_degrees=NUMBER),
    "Intensity": _object("How intensities became 0..1.", mapping=TEXT, low=NUMBER, high=NUMBER, target=PROBABILITY),
    "Slice": _object(
        "Measurements of one slice, and the pictures of it that were asked for.",
        index=COUNT,
        tumor_pixels=_or_null(COUNT),
        tumor_coverage_percent=_or_null(PERCENT),
        max_probability=_or_null(PROBABILITY),
        labels=_or_null(_list(reference("SliceLabel"))),
        regions=_or_null(_list(reference("SliceRegion"))),
        trust=reference("SliceTrust"),
        sop_instance_uid=_or_null(TEXT),
        images=reference("Images"),
    ),
    "Label": _object(
        "A value of the mask, and how much of it there is.",
        value={"type": "integer", "minimum": 1},
        name=TEXT,
        colour=_said(_list({"type": "integer", "minimum": 0, "maximum": 255}, 3), "Red, green and blue."),
        code=reference("Code"),
        **_FOUND,
    ),
    "Region": _object(
        "A union of labels, by their values, and how much of it there is.",
        name=TEXT,
        labels=_list({"type": "integer", "minimum": 1}),
        **_FOUND,
    ),
    "Code": _object("As DICOM names what a label shows.", value=TEXT, scheme=TEXT, meaning=TEXT),
    "SliceLabel": _object("Of a label on one slice.", value={"type": "integer", "minimum": 1}, **_FOUND_ON_SLICE),
    "SliceRegion": _object("Of a region on one slice.", name=TEXT, **_FOUND_ON_SLICE),
    "Trust": _object(
        "Whether the model knows such a scan, and how good its mask may be; null: this version cannot say.",
        **_JUDGED,
        gate=_said(_one_of("on", "off", "none"), "none: this version has no gate."),
        **_DOUBT,
        tumor_pixels_interval=_or_null(_list(COUNT, 2)),
        tumor_volume_ml_interval=_or_null(_list(NUMBER, 2)),
        interval_level=_or_null(PROBABILITY),
    ),
    "SliceTrust": _object("The same of one slice.", **_JUDGED, **_DOUBT),
    "Images": {
        "type": "object",
        "description": "The pictures that were asked for, PNG in base64; those that were not are absent.",
        "properties": dict.fromkeys(OUTPUTS, PNG),
    },
    "Warning": _object("What the client may not have meant.", code=TEXT, detail=TEXT),
    "Timing": _object(
        "Milliseconds spent on each stage.", decode=AMOUNT, preprocess=AMOUNT, inference=AMOUNT, render=AMOUNT
    ),
    "Passport": _object(
        "A signed record of how the answer was made: a DSSE envelope around JSON.",
        payloadType={"type": "string", "const": PASSPORT_KIND},
        payload=_said(TEXT, "The record in base64."),
        signatures=_list(reference("Signature")),
    ),
    "Signature": _object("Ed25519, over payload and its type as DSSE has it.", keyid=TEXT, sig=_said(TEXT, "Base64.")),
    "PassportKeys": _object("The public keys that passports are checked by.", keys=_list(reference("PassportKey"))),
    "PassportKey": _object(
        "One of them; those of before a rotation are kept.",
        keyid=TEXT,
        algorithm={"type": "string", "const": "ed25519"},
        public_key=_said(TEXT, "PEM."),
        signs=_said({"type": "boolean"}, "Whether it signs now."),
    ),
    "Problem": _object(
        "A refusal (RFC 9457). Branch on `code`, show `detail`, quote `instance` to whoever runs the server.",
        type={"type": "string", "pattern": "^urn:brainseg:problem:[a-z_]+$"},
        title=_said(TEXT, "The same for every occurrence of a code."),
        status={"type": "integer", "minimum": 400, "maximum": 599},
        detail=_said(TEXT, "What came, what was expected, what to do."),
        code=_one_of(*PROBLEMS, *HTTP_PROBLEMS),
        instance={"type": "string", "pattern": f"^{INSTANCE}[A-Za-z0-9._-]+$"},
    ),
    "Models": _object(
        "The versions of the model, newest last.",
        name=TEXT,
        default=_said(TEXT, "The version that answers where none is named."),
        versions=_list(reference("Version")),
        beside=_said(_list(reference("Beside")), "Models beside it that segment, to be asked by `model`."),
    ),
    "Beside": _object(
        "A model beside the segmentation, and its versions, newest last.",
        name=TEXT,
        default=_said(TEXT, "The version that answers where none is named."),
        versions=_list(reference("BesideVersion")),
    ),
    "BesideVersion": _object("A version of a model beside it.", **_VERSION),
    "Version": _object(
        "A version, whether it is live, and since when (UTC, ISO 8601).",
        **_VERSION,
        role=_one_of(*ROLES),
        since=_or_null(TEXT),
    ),
    "Workers": _object("Processes of a version.", wanted=COUNT, ready=COUNT),
    "Readiness": _object(
        "Whether a scan sent now would be answered.",
        status=_one_of("ready", "not_ready"),
        reasons=_said(_list(TEXT), "What the live version lacks; empty when ready."),
        degraded=_said(_list(TEXT), "What other versions lack."),
    ),
    "Job": _object(
        "A scan that is segmented later. Times are UTC in ISO 8601.",
        id=TEXT,
        state=_one_of("queued", "running", "succeeded", "failed", "cancelled"),
        created=TEXT,
        started=_or_null(TEXT),
        ended=_or_null(TEXT),
        ahead=_said(_or_null(COUNT), "Of one that is queued: how many jobs come before it."),
        status=_said(_or_null({"type": "integer"}), "The HTTP status of the result."),
        code=_said(_or_null(TEXT), "ok, or the code of the refusal that the result is."),
        webhook=_said(_or_null(_one_of("waiting", "delivered", "failed")), "null: nobody is told."),
        result=_said(_or_null(TEXT), "The path of the result while there is one."),
        events=_said(TEXT, "The path of the events."),
    ),
    "Alive": _object("The front door runs.", status={"type": "string", "const": "alive"}),
}
