"""Scans and results in an object store: a real server that speaks S3 (moto's), through fsspec and s3fs.
tests/bulk/test_store.py installs and runs it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests

from bulk import worker as worker_module
from bulk.errors import BulkError
from bulk.listing import NAMELESS
from serving.ports import free_port
from tests.bulk.conftest import Bulk, picture
from tests.waiting import until

PACKAGES = ("s3fs", "boto3", "moto")
# Not in the test level: botocore wants python-dateutil below 3, and constraints.txt has 4.
pytestmark = [
    pytest.mark.long,  # a server of its own, and a listing of 1,100 keys
    pytest.mark.skipif(
        not all(map(find_spec, PACKAGES)),
        reason="run by tests/bulk/test_store.py, with packages of its own",
    ),
]
BUCKET, SECRET = "scans", "not-to-be-seen"
NAMES = ("plain.png", "with space.png", "größe ⌘ 脑.png", "50%25.png", "a#b?c&d=e+f.png", ".hidden.png", "'q\"<>.png")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; the environment says the same to whoever asks for S3."""
    port, log = free_port(), tmp_path_factory.mktemp("s3") / "log"
    url = f"http://127.0.0.1:{port}"
    own = {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, log.open("wb") as file:
        for name, value in own.items():
            patch.setenv(name, value)
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env=dict(os.environ), stdout=file, stderr=file,
        )  # fmt: skip

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return requests.get(f"{url}/moto-api/", timeout=10).ok
            except requests.ConnectionError:
                return False

        try:
            until(answers, log.read_text)
            yield url
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def store(s3: str) -> Any:
    """Boto's own client, for it is another hand than s3fs; the bucket is empty."""
    import boto3

    requests.post(f"{s3}/moto-api/reset", timeout=60).raise_for_status()
    found = boto3.client("s3", endpoint_url=s3)
    found.create_bucket(Bucket=BUCKET)
    return found


def put(store: Any, *names: str) -> None:
    for number, name in enumerate(names):
        store.put_object(Bucket=BUCKET, Key=f"in/{name}", Body=picture(number))


def table(store: Any) -> list[dict[str, Any]]:
    """As pyarrow reads what Boto fetches."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = []
    for key in keys(store, "out/table/"):
        body = store.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        found += pq.read_table(io.BytesIO(body)).to_pylist()
    return found


def keys(store: Any, prefix: str) -> list[str]:
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", ())]


def test_odd_names_are_read_written_and_skipped_the_second_time(
    store: Any, bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results lie in the source's own prefix; nothing but whole results is left; masks are those of files."""
    put(store, *NAMES, "sub/plain.png", "notes.txt")
    store.put_object(Bucket=BUCKET, Key="in/notes.txt", Body=b"words")
    store.put_object(Bucket=BUCKET, Key="in/sub/", Body=b"")  # a folder's mark, as consoles make
    store.put_object(Bucket=BUCKET, Key="in/empty.png", Body=b"")
    store.put_object(Bucket=BUCKET, Key="in/deep//nameless.png", Body=picture(99))
    source, out = f"s3://{BUCKET}", f"s3://{BUCKET}/out"
    first = bulk.alone(source, out)
    assert (first.scans, first.done, first.refused) == (len(NAMES) + 2, len(NAMES) + 2, 1)
    assert first.left_out == {"no scan by its name or its first bytes": 1, NAMELESS: 1}
    found = {row["path"]: row for row in table(store)}
    assert set(found) == {f"s3://{BUCKET}/in/{name}" for name in (*NAMES, "sub/plain.png", "empty.png")}
    assert [row["error_code"] for row in found.values() if row["error_code"]] == ["empty_body"]
    local = tmp_path / "in"
    local.mkdir()
    for number, _ in enumerate((*NAMES, "sub/plain.png")):
        (local / f"{number}.png").write_bytes(picture(number))
    bulk.alone(local, tmp_path / "out")
    for path in (tmp_path / "out" / "masks").rglob("mask.png"):
        key = f"out/{path.relative_to(tmp_path / 'out')}"
        assert store.get_object(Bucket=BUCKET, Key=key)["Body"].read() == path.read_bytes()
    masks = keys(store, "out/masks/")
    assert len(masks) == len(NAMES) + 1
    assert all(key.endswith("/mask.png") for key in masks)
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "read_scan", lambda *_: pytest.fail("a scan was read again"))
        again = bulk.alone(source, out)
    assert (again.before, again.done, again.left) == (len(NAMES) + 2, 0, 0)
    store.put_object(Bucket=BUCKET, Key="in/plain.png", Body=picture(50))  # changed: its tag says so
    assert bulk.alone(source, out).done == 1


def test_more_keys_than_a_page_has(store: Any, bulk: Bulk) -> None:
    for number in range(1_100):
        store.put_object(Bucket=BUCKET, Key=f"in/{number}.png", Body=b"")
    asked = iter([False] * 3 + [True] * 10_000)
    assert bulk.alone(f"s3://{BUCKET}/in", f"s3://{BUCKET}/out", stopped=lambda: next(asked)).scans == 1_100


def test_a_key_that_goes_meanwhile_is_a_row_and_tried_again(
    store: Any, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "a.png", "b.png", "c.png")
    whole = worker_module.read_scan

    def vanishing(parts: Any, *rest: Any) -> list[bytes]:
        if parts[0].address.endswith("b.png"):
            store.delete_object(Bucket=BUCKET, Key="in/b.png")
        return whole(parts, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "read_scan", vanishing)
        first = bulk.alone(f"s3://{BUCKET}/in", f"s3://{BUCKET}/out")
    assert (first.done, first.refused, first.again) == (3, 1, 1)
    assert [row["error_code"] for row in table(store) if row["error_code"]] == ["unreadable"]
    put(store, "a.png", "b.png")
    second = bulk.alone(f"s3://{BUCKET}/in", f"s3://{BUCKET}/out")
    assert (second.before, second.done, second.refused) == (2, 1, 0)
    assert [row["error_code"] for row in table(store)] == [None] * 3


@pytest.mark.parametrize("where", ["source", "results"])
def test_who_is_not_let_in_is_told_so_without_the_secret(
    where: str, s3: str, store: Any, bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server checks who asks only when told to."""
    from s3fs import S3FileSystem

    put(store, "a.png")
    local = tmp_path / "in"
    local.mkdir()
    (local / "a.png").write_bytes(picture(1))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody-known")
    S3FileSystem.clear_instance_cache()
    url, headers = f"{s3}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    requests.post(url, data="0", headers=headers, timeout=60).raise_for_status()
    places = (f"s3://{BUCKET}/in", str(tmp_path / "out")) if where == "source" else (str(local), f"s3://{BUCKET}/out")
    try:
        with pytest.raises(BulkError, match=r"s3://scans.*(Access Key Id|Access ?Denied|Forbidden)") as told:
            bulk.alone(*places)
    finally:
        requests.post(url, data="inf", headers=headers, timeout=60).raise_for_status()
        S3FileSystem.clear_instance_cache()
    assert SECRET not in str(told.value) + str(bulk.lines)
