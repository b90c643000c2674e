"""What is shipped: parts, licences, known faults, and the bill of materials in every archive."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.testing import CliRunner

from archive import audit as audits
from archive.audit import Audit, AuditError, audit, read
from archive.bill import BILL_FILE, bill
from archive.licences import not_allowed
from archive.pins import HASHES, pinned, serving_pins
from archive.shipped import Shipped, shipped
from archive.store import ROOT
from handler.card import ModelCard, parse_card
from scripts.commands import supply
from tests.rollout.stage import ARCHIVE

PART = Shipped("pypi", "some", "1.0", "MIT", False, ())


def members(packaged: Path) -> tuple[bytes, ModelCard]:
    with zipfile.ZipFile(packaged / ARCHIVE) as archive:
        return archive.read(BILL_FILE), parse_card(archive.read("model-card.json").decode())


class TestParts:
    def test_what_serving_imports_is_there_and_what_tests_import_is_not(self) -> None:
        parts = {part.name: part for part in shipped() if part.kind == "pypi"}
        for name in ("torch", "torchserve", "flask", "werkzeug", "pydicom", "urllib3"):
            assert parts[name].version == metadata.version(name)
        assert not {"pytest", "lightning", "hypothesis", "dbos"} & parts.keys()
        assert "werkzeug" in parts["flask"].needs

    def test_what_lies_inside_torchserve_is_named(self) -> None:
        (netty,) = [part for part in shipped() if part.name == "netty-codec-http"]
        assert (netty.kind, netty.version.split(".")[:2]) == ("maven", ["4", "1"])


class TestPins:
    def test_the_image_installs_by_digest_what_is_pinned(self) -> None:
        """After a change of pins: the command in docs/security.md."""
        assert [f"{name}=={version}" for name, version in pinned(HASHES).items()] == serving_pins()
        of_each = re.split(r"^(?=\S)", HASHES.read_text(), flags=re.MULTILINE)[1:]
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", one) for one in of_each)
        assert "/" not in HASHES.read_text()  # no address: whoever installs says from where
        dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
        assert "--require-hashes --no-deps -r deploy/hashes.txt" in dockerfile

    def test_they_are_printed_for_that_command(self) -> None:
        printed = CliRunner().invoke(supply.app, ["--pins"])
        assert printed.stdout.splitlines() == serving_pins()


class TestLicences:
    def test_all_that_is_shipped_is_allowed(self) -> None:
        assert [f"{part.name}: {why}" for part in shipped() if (why := not_allowed(part))] == []

    @pytest.mark.parametrize(
        ("licence", "said"),
        [
            ("MIT", ""),
            ("Apache Software License", ""),
            ("MIT AND Apache-2.0 WITH LLVM-exception", ""),
            ("", "it names no licence"),
            ("MIT AND GPL-3.0-only", "GPL-3.0-only is not approved"),
            ("BUSL-1.1", "BUSL-1.1 is not approved"),
            ("see the file", "see the file is not approved"),
            ("MIT AND", "no SPDX expression: look what it is"),
        ],
    )
    def test_others_are_refused_with_the_reason(self, licence: str, said: str) -> None:
        why = not_allowed(replace(PART, licence=licence))
        assert said in why
        assert bool(why) == bool(said)


class TestBill:
    def test_it_is_valid_and_names_weights_and_parts(self, packaged: Path) -> None:
        content, card = members(packaged)
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
        body = json.loads(content)
        named = {component["name"]: component for component in body["components"]}
        assert named[card.weights.file]["type"] == "machine-learning-model"
        assert named[card.weights.file]["hashes"] == [{"alg": "SHA-256", "content": card.weights.sha256[7:]}]
        assert {part.name for part in shipped()} == named.keys() - {card.weights.file}
        assert named["flask"]["purl"] == f"pkg:pypi/flask@{metadata.version('flask')}"
        needs = {entry["ref"]: entry.get("dependsOn", []) for entry in body["dependencies"]}
        assert any("netty-codec-http@" in ref for ref in needs[named["torchserve"]["bom-ref"]])

    def test_equal_inputs_give_equal_bytes_and_others_another_number(self, packaged: Path) -> None:
        content, card = members(packaged)
        assert bill(card) == content
        other = json.loads(bill(card.with_changes(version="9.9")))
        assert other["serialNumber"] != json.loads(content)["serialNumber"]


FAULT = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"], "description": ""}
ANSWER = {
    "dependencies": [
        {"name": "one", "version": "1.0", "vulns": [FAULT]},
        {"name": "two", "version": "1.0", "vulns": []},
        {"name": "three", "skip_reason": "not found"},
    ],
    "fixes": [],
}


class TestAudit:
    def test_faults_and_what_was_not_asked_are_told(self) -> None:
        assert read(ANSWER) == Audit(("one 1.0: PYSEC-1, mended in 2.0",), (), ("three: not found",), 2)

    def test_a_shielded_one_is_named_with_its_shield(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audits, "SHIELDED", {"CVE-1": "never reached"})
        found = read(ANSWER)
        assert (found.faults, found.shielded) == ((), ("one 1.0: PYSEC-1, mended in 2.0; never reached",))

    @pytest.mark.parametrize(
        ("found", "status"),
        [
            (Audit((), (), (), 2), 0),
            (Audit(("one",), (), ("three",), 2), 1),
            (Audit((), ("one",), (), 2), 0),
            (Audit((), (), ("three",), 2), 3),
            (AuditError("no network"), 3),
        ],
    )
    def test_the_command_ends_as_it_says(
        self, monkeypatch: pytest.MonkeyPatch, found: Audit | AuditError, status: int
    ) -> None:
        def answer(parts: object) -> Audit:
            if isinstance(found, AuditError):
                raise found
            return found

        monkeypatch.setattr(supply, "audit", answer)
        assert CliRunner().invoke(supply.app, ["--audit"]).exit_code == status

    @pytest.mark.long  # asks the package index about a hundred packages
    def test_nothing_that_is_shipped_has_a_known_fault_that_is_not_shielded(self) -> None:
        found = audit(shipped())
        assert found.faults == ()
        if not found.audited:
            pytest.skip(f"the package index gives no advisories here: {found.skipped[0]}")
