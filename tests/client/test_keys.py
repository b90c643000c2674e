"""Where the API key comes from, and what is said of one that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from brainseg_client import Client
from brainseg_client.keys import VARIABLE, ApiKeyError, find_key

KEY = "0123456789abcdef0123"


@pytest.mark.parametrize(
    "raw",
    [
        KEY.encode(),
        f"  {KEY}\r\n".encode(),
        f"# of the ward\n\nward-7 {KEY}\n".encode(),
        f"{KEY}\n# ends with a comment\n".encode(),
        b"\xef\xbb\xbf" + KEY.encode(),
        f"{KEY}\r\n".encode("utf-16"),
    ],
)
def test_a_key_is_found(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(raw)
    file.chmod(0o600)
    assert find_key(file, pytest.fail) == KEY


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "holds no key"),
        (b"# only words\n", "holds no key"),
        (f"one {KEY}\ntwo {KEY}9\n".encode(), "holds 2 keys"),
        (f"a key of {KEY}".encode(), "has 4 words"),
        ("кљуц-0123456789abcdef".encode(), "printable ASCII"),
        (KEY.encode("utf-16-le"), "printable ASCII"),
        (b"\xff" + KEY.encode(), "no text in UTF-8"),
        (b"x" * 70_000, "more than 65536 bytes"),
    ],
)
def test_what_is_no_key_is_said_without_showing_it(raw: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(raw)
    with pytest.raises(ApiKeyError, match=said) as caught:
        find_key(file, lambda line: None)
    assert "0123" not in str(caught.value)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o644, True), (0o640, True)])
def test_a_key_that_others_may_read_is_warned_about(mode: int, warned: bool, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    lines: list[str] = []
    assert find_key(file, lines.append) == KEY
    assert bool(lines) is warned
    assert not warned or (f"{mode:04o}" in lines[0] and "chmod 600" in lines[0] and KEY not in lines[0])


def test_the_environment_is_next(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, key in (("", None), (" ", None), (f" {KEY}\n", KEY)):
        monkeypatch.setenv(VARIABLE, given)
        assert find_key(None, pytest.fail) == key


def test_a_client_refuses_what_cannot_be_sent() -> None:
    for key in ("ключ-0123456789abcdef", "two words", "line\nbreak"):
        with pytest.raises(ValueError, match="printable ASCII") as caught:
            Client("http://127.0.0.1:8000", api_key=key)
        assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "http://", "ftp://x", "http://127.0.0.1:70000", "http://127.0.0.1:0", "http://u:pw@[x/"]
)
def test_a_client_refuses_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="expected one such as") as caught:
        Client(url)
    assert "pw" not in str(caught.value)


def test_a_password_in_the_address_is_never_shown_nor_replaces_the_key() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        Client("http://user:pw@127.0.0.1:9", api_key=KEY)
    with pytest.raises(Exception, match=r"http://127.0.0.1:9: ConnectionError") as caught:
        Client("http://user:pw@127.0.0.1:9", patience=0).models()
    assert "pw" not in str(caught.value)
