"""What serving runs on: the packages that pyproject's dependencies bring, as installed, and what lies inside
TorchServe's jar, where no tool that reads package indexes looks."""

from __future__ import annotations

import contextlib
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from archive.store import ROOT

JAR = "ts/frontend/model-server.jar"
NETTY = "META-INF/io.netty.versions.properties"
NO_TEXT = 80  # characters of a licence field beyond which it is the text and no name


@dataclass(frozen=True)
class Shipped:
    """A part of what is served. ``kind``: ``pypi`` or ``maven``; ``licence``: an SPDX expression or a name, as its own
    metadata say, empty when they say nothing; ``approved``: of the Open Source Initiative, by its classifiers;
    ``needs``: names of the parts it runs on."""

    kind: str
    name: str
    version: str
    licence: str
    approved: bool
    needs: tuple[str, ...]


@lru_cache(maxsize=1)
def shipped() -> tuple[Shipped, ...]:
    """All parts, by name. What a marker leaves out here, such as NVIDIA's libraries beside a CPU build of torch, is not
    among them."""
    return (*sorted(_distributions(), key=lambda part: part.name), *_inside_torchserve())


def _distributions() -> Iterator[Shipped]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(text) for text in project["dependencies"]]
    extras_of: dict[str, set[str]] = {}
    while waiting:
        wanted = waiting.pop()
        name, extras = canonicalize_name(wanted.name), {"", *wanted.extras}
        if extras <= extras_of.get(name, set()):
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):  # a need of another build of the same version
            waiting += _needed(metadata.distribution(name), extras)
            extras_of.setdefault(name, set()).update(extras)
    for one, extras in extras_of.items():
        found = metadata.distribution(one)
        needs = sorted({str(canonicalize_name(need.name)) for need in _needed(found, extras)} & extras_of.keys())
        yield Shipped("pypi", one, found.version, _licence(found), _approved(found), tuple(needs))


def _needed(found: metadata.Distribution, extras: set[str]) -> list[Requirement]:
    every = [Requirement(text) for text in found.requires or []]
    return [need for need in every if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras)]


def _licence(found: metadata.Distribution) -> str:
    told = found.metadata.json
    if expression := str(told.get("license_expression", "")):
        return expression
    said = str(told.get("license", ""))
    if said and len(said) <= NO_TEXT:
        return said
    return next((name.rpartition(" :: ")[2] for name in _classifiers(found)), "")


def _approved(found: metadata.Distribution) -> bool:
    return any(" :: OSI Approved :: " in name for name in _classifiers(found))


def _classifiers(found: metadata.Distribution) -> list[str]:
    return [name for name in found.metadata.get_all("Classifier") or [] if name.startswith("License ::")]


def _inside_torchserve() -> list[Shipped]:
    """Netty alone says there which version it is."""
    jar = metadata.distribution("torchserve").locate_file(JAR)
    with zipfile.ZipFile(str(jar)) as packed:
        lines = packed.read(NETTY).decode().splitlines()
    versions = dict(line.split(".version=", 1) for line in lines if ".version=" in line)
    return [Shipped("maven", name, version, "Apache-2.0", True, ()) for name, version in sorted(versions.items())]
