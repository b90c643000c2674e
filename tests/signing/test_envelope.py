"""What is signed is read back; what was changed, foreign or unsigned is not."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing.envelope import SignatureError, seal, signed_bytes, unseal
from signing.keys import PRIVATE, load_private, load_trusted, make_keys

KIND = "application/vnd.test+json"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder)
    return folder


def test_the_bytes_that_are_signed_are_those_of_the_specification() -> None:
    """The example of DSSE's protocol.md."""
    assert signed_bytes("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_signed_twice_is_the_same_and_is_read_back(keys: Path) -> None:
    key, trusted = load_private(keys / PRIVATE), load_trusted(keys)
    envelope = seal(KIND, b"payload", key)
    assert envelope == seal(KIND, b"payload", key)
    assert unseal(json.loads(json.dumps(envelope)), KIND, trusted) == (b"payload", next(iter(trusted)))


def test_changed_foreign_and_unsigned_are_refused(keys: Path, tmp_path: Path) -> None:
    key, trusted = load_private(keys / PRIVATE), load_trusted(keys)
    envelope = seal(KIND, b"payload", key)
    other = base64.b64encode(b"Payload").decode()
    make_keys(tmp_path)
    for wrong, reason in (
        ({**envelope, "payload": other}, "changed after"),
        ({**envelope, "signatures": []}, "not signed"),
        ({**envelope, "payloadType": "text/plain"}, "no envelope"),
        ({**envelope, "payload": "é"}, "cannot be read"),
        ({**envelope, "signatures": [{"keyid": next(iter(trusted)), "sig": "é"}]}, "cannot be read"),
        (seal("text/plain", b"payload", key) | {"payloadType": KIND}, "changed after"),
        (seal(KIND, b"payload", load_private(tmp_path / PRIVATE)), "not trusted"),
    ):
        with pytest.raises(SignatureError, match=reason):
            unseal(wrong, KIND, trusted)


@given(st.recursive(st.none() | st.text(max_size=8) | st.integers(), lambda one: st.lists(one) | st.dictionaries(
    st.sampled_from(["payloadType", "payload", "signatures", "keyid", "sig"]), one), max_leaves=8))  # fmt: skip
def test_any_other_json_is_refused_and_raises_nothing_else(raw: object) -> None:
    if isinstance(raw, dict):
        raw["payloadType"] = KIND
    with pytest.raises(SignatureError):
        unseal(raw, KIND, {})
