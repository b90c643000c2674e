"""Who is let in."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from web.access.keys import ApiKeys, parse_keys
from web.access.origins import Origins
from web.access.quota import Quota
from web.access.who import Access, StartError, check_start, is_loopback
from web.contract.fields import RefusedError

OLD, NEW = "old-key-0123456789abcdef", "new-key-0123456789abcdef"


def write(path: Path, text: str, age: float = 10) -> None:
    path.write_text(text)
    moment = time.time() - age
    os.utime(path, (moment, moment))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    write(path, f"# clients\n\nward {OLD}\n", 60)
    return path


def test_keys_are_known_by_name_and_rotate_without_a_restart(file: Path) -> None:
    keys = ApiKeys(file)
    assert keys.name_of(OLD) == "ward"
    assert keys.name_of(NEW) is None
    write(file, f"ward {OLD}\nlab {NEW}\n", 30)
    assert (keys.name_of(OLD), keys.name_of(NEW)) == ("ward", "lab")
    write(file, f"lab {NEW}\n", 20)
    assert (keys.name_of(OLD), keys.name_of(NEW)) == (None, "lab")


@pytest.mark.parametrize("broken", ["ward\n", f"ward {OLD} more\n", "ward short\n", f"ward {OLD}\nward {NEW}\n"])
def test_a_broken_file_is_refused_at_the_start_and_ignored_later(file: Path, broken: str) -> None:
    with pytest.raises(ValueError, match=r"line|no key") as caught:
        parse_keys(broken)
    assert OLD not in str(caught.value)
    keys = ApiKeys(file)
    write(file, broken, 30)
    assert keys.name_of(OLD) == "ward"
    file.unlink()
    assert keys.name_of(OLD) == "ward"


@pytest.mark.parametrize("emptied", ["", "\n", "# ward left\n", "\ufeff"])
def test_an_emptied_file_revokes_its_keys(file: Path, emptied: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        parse_keys(emptied.removeprefix("\ufeff"))
    keys = ApiKeys(file)
    assert keys.name_of(OLD) == "ward"
    write(file, emptied, 30)
    assert keys.name_of(OLD) is None
    write(file, f"ward {OLD}\n", 20)
    assert keys.name_of(OLD) == "ward"


def test_a_file_that_is_empty_for_a_moment_is_one_being_written(file: Path) -> None:
    """Editors empty a file before they write it; on a busy machine the rest may come seconds later."""
    keys = ApiKeys(file)
    write(file, "", 2)
    assert keys.name_of(OLD) == "ward"
    write(file, f"lab {NEW}\n", 1)
    assert (keys.name_of(OLD), keys.name_of(NEW)) == (None, "lab")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"ward {OLD}\n".encode("utf-16"), "UTF-16"),
        (f"ward {OLD}\n".encode("utf-16-le"), "UTF-16"),
        (f"ward {OLD}\n# Schl\u00fcssel\n".encode("latin-1"), "line 2: it is not UTF-8"),
        (f"ward schl\u00fcssel-{OLD}\n".encode(), "line 1: the key has characters that an Authorization header"),
        (f"ward {OLD} {NEW}\n".encode(), "line 1: it has 3 words; expected 'name key', one key a line"),
    ],
)
def test_a_file_that_cannot_be_meant_says_what_was_expected(file: Path, content: bytes, reason: str) -> None:
    file.write_bytes(content)
    with pytest.raises(StartError, match=reason) as caught:
        check_start("127.0.0.1", file)
    assert OLD not in str(caught.value)


def test_comments_and_a_byte_order_mark_are_no_keys(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + f"ward {OLD} # until May\n  # lab left\nlab {NEW}#1\r\n".encode())
    keys = ApiKeys(file)
    assert (keys.name_of(OLD), keys.name_of(f"{NEW}#1"), keys.name_of(NEW)) == ("ward", "lab", None)


def test_a_file_just_being_written_waits_a_moment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.access.keys.SETTLED_SECONDS", 60)  # longer than a busy machine may take from line to line
    keys = ApiKeys(file)
    write(file, f"lab {NEW}\n", 0)
    assert keys.name_of(OLD) == "ward"
    monkeypatch.setattr("web.access.keys.SETTLED_SECONDS", 0)
    assert keys.name_of(NEW) == "lab"


def test_only_who_has_a_key_comes_in(file: Path) -> None:
    access = Access(file, Origins())
    assert access.client({"authorization": f"Bearer {OLD}", "host": "example.org"}, "10.0.0.1") == "key ward"
    for wrong in ("", "Bearer ", f"Basic {OLD}", f"Bearer {NEW}", OLD, f"Bearer {OLD}x"):
        with pytest.raises(RefusedError) as caught:
            access.client({"authorization": wrong}, "10.0.0.1")
        assert caught.value.code == "unauthorized"
        assert "WWW-Authenticate" in caught.value.headers()


def test_an_open_door_serves_this_machine_only() -> None:
    access = Access(None, Origins())
    for own in ("127.0.0.1:8000", "localhost", "[::1]:8000", "127.0.0.9", "LOCALHOST:1"):
        assert access.client({"host": own}, "127.0.0.1") == "address 127.0.0.1"
    # A page elsewhere whose name was pointed at 127.0.0.1.
    for foreign in ("evil.example:8000", "10.0.0.1", "localhost.evil.example"):
        with pytest.raises(RefusedError):
            access.client({"host": foreign}, "127.0.0.1")


def test_beyond_loopback_it_does_not_start_without_keys(file: Path, tmp_path: Path) -> None:
    check_start("127.0.0.1", None)
    check_start("localhost", None)
    check_start("0.0.0.0", file)  # noqa: S104
    for host in ("0.0.0.0", "::", "10.0.0.1"):  # noqa: S104
        assert not is_loopback(host)
        with pytest.raises(StartError, match="--api-keys"):
            check_start(host, None)
    with pytest.raises(StartError, match="cannot be used"):
        check_start("127.0.0.1", tmp_path / "missing")


def test_a_quota_refills_steadily() -> None:
    now = [100.0]
    quota = Quota(60, lambda: now[0])
    for _ in range(10):
        quota.spend("a")
    with pytest.raises(RefusedError) as caught:
        quota.spend("a")
    assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 1)
    quota.spend("b")
    now[0] += 1
    quota.spend("a")
    with pytest.raises(RefusedError):
        quota.spend("a")
    for _ in range(100):
        Quota(0).spend("a")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o644, True)])
def test_a_file_that_others_may_read_is_warned_about(
    mode: int, warned: bool, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.chmod(mode)
    keys = ApiKeys(file)
    assert keys.name_of(OLD) == "ward"
    assert (f"mode {mode:04o}" in caplog.text) is warned
    assert OLD not in caplog.text
    caplog.clear()
    write(file, f"lab {NEW}\n", 20)
    assert keys.name_of(NEW) == "lab"
    assert ("chmod 600" in caplog.text) is warned
