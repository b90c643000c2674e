"""The bill of materials of a release: CycloneDX 1.6, a file of its archive. The weights, what serves them, and how the
parts hang together."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from archive.shipped import Shipped, shipped
from handler.card import ModelCard

BILL_FILE = "sbom.cdx.json"
GROUP = "io.netty"  # of what the jar names


def bill(card: ModelCard) -> bytes:
    """The bill of the release with ``card`` and of the packages installed here. Equal inputs give equal bytes: its date
    is the card's, its number made of its content."""
    parts = {part.name: _component(part) for part in shipped()}
    model = _model(card)
    product = Component(
        name=card.name, version=card.version, type=ComponentType.APPLICATION, bom_ref=f"{card.name}@{card.version}"
    )
    when = datetime.fromisoformat(card.created) if card.created else datetime(1980, 1, 1, tzinfo=UTC)
    made = Bom(components=[model, *parts.values()], metadata=BomMetaData(component=product, timestamp=when))
    made.register_dependency(product, [model, *parts.values()])
    for part in shipped():
        made.register_dependency(parts[part.name], [parts[need] for need in part.needs])
    inside = [parts[part.name] for part in shipped() if part.kind == "maven"]
    made.register_dependency(parts["torchserve"], inside)
    made.serial_number = uuid.UUID(int=0)
    made.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, JsonV1Dot6(made).output_as_string())
    return (JsonV1Dot6(made).output_as_string(indent=1) + "\n").encode()


def _component(part: Shipped) -> Component:
    group = GROUP if part.kind == "maven" else None
    known = [_licence(part.licence)] if part.licence else []
    return Component(
        name=part.name, version=part.version, group=group, type=ComponentType.LIBRARY, licenses=known,
        bom_ref=f"{part.kind}:{part.name}@{part.version}", purl=PackageURL(part.kind, group, part.name, part.version),
    )  # fmt: skip


def _model(card: ModelCard) -> Component:
    weights = card.weights.sha256.removeprefix("sha256:")
    properties = [Property(name="brainseg:architecture", value=card.architecture.label)]
    properties += [Property(name="brainseg:intended-use", value=card.intended_use)]
    return Component(
        name=card.weights.file, version=card.version, type=ComponentType.MACHINE_LEARNING_MODEL,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights)], properties=properties,
        licenses=[_licence(card.licences["weights"])] if "weights" in card.licences else [],
        bom_ref=f"weights:{card.name}@{card.version}",
    )  # fmt: skip


def _licence(said: str) -> License:
    return LicenseFactory().make_from_string(said)
