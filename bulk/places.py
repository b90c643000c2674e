"""Where scans are read and results are written: a path, or an address that fsspec knows (``s3://``, ``gs://``, …)."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from brainseg_client.files import UNFINISHED, write_atomic
from bulk.errors import BulkError

FILE = "file"
MEMORY = "memory"  # of one process: for tests
BROUGHT_BY = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "http": "aiohttp", "https": "aiohttp"}


def scheme_of(address: str) -> str:
    """``file`` for a plain path."""
    return address.partition("://")[0].lower() if "://" in address else FILE


def local(address: str) -> Path | None:
    """The path of a local address; None for any other."""
    if scheme_of(address) != FILE:
        return None
    return Path(unquote(urlsplit(address).path)) if "://" in address else Path(address)


def without_secret(address: str) -> None:
    """Raises :class:`BulkError`, which does not show it, where ``address`` has a password: it would be in tables."""
    if re.match(r"[^:/]+://[^/]*@", address):
        raise BulkError(
            "a name or password in an address is seen by others; put it where the store's library looks for it "
            "(of s3:// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile)"
        )


def filesystem(address: str) -> Any:
    """fsspec's file system for ``address``. Raises :class:`BulkError` that names what to install."""
    scheme = scheme_of(address)
    try:
        import fsspec

        # Without a cache of what was listed: it would hold every name, and not hear of what others write.
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        wanted = BROUGHT_BY.get(scheme, "fsspec")
        raise BulkError(f"{scheme}:// needs the Python package {wanted}: .venv/bin/pip install {wanted}") from error
    except ValueError as error:
        raise BulkError(
            f"{scheme}:// is no address that fsspec knows; expected a path, s3://, gs:// or file://"
        ) from error


def read(address: str, most: int) -> bytes:
    """At most ``most`` + 1 bytes from the beginning, so that who asks sees that there are more. Raises ``OSError``."""
    path = local(address)
    if path is not None:
        with path.open("rb") as file:
            return file.read(most + 1)
    system = filesystem(address)
    try:
        # By name: the second argument of s3fs is another one than fsspec's.
        found: bytes = system.cat_file(address, start=0, end=most + 1)
    except OSError as error:
        if error.errno == errno.EINVAL and system.info(address).get("size") == 0:
            return b""  # S3 has no first byte of an empty object to give
        raise
    except Exception as error:  # each store's library has its own
        raise OSError(f"{type(error).__name__} from the store") from error
    return found


class Destination:
    """A folder or address that results are written below, each file whole or not at all: locally under a temporary name
    that is renamed, in an object store by its single put."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") or "/"
        self.path = local(address)

    def write(self, name: str, data: bytes) -> None:
        """``name``: relative, with ``/``. Raises ``OSError``."""
        if self.path is not None:
            write_atomic(self.path / name, data)
            return
        try:
            filesystem(self.address).pipe_file(f"{self.address}/{name}", data)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__} from the store") from error

    def read(self, name: str) -> bytes:
        """Raises ``OSError``."""
        if self.path is not None:
            return (self.path / name).read_bytes()
        found: bytes = filesystem(self.address).cat_file(f"{self.address}/{name}")
        return found

    def names(self, folder: str) -> list[str]:
        """The ``.parquet`` files that lie in ``folder``, relative to the destination, in order; none where there is no
        such folder."""
        if self.path is not None:
            return sorted(f"{folder}/{one.name}" for one in (self.path / folder).glob("*.parquet"))
        with contextlib.suppress(FileNotFoundError):
            system = filesystem(self.address)
            found = [str(one).rpartition("/")[2] for one in system.ls(f"{self.address}/{folder}", detail=False)]
            return sorted(f"{folder}/{one}" for one in found if one.endswith(".parquet"))
        return []

    def sweep(self, folder: str) -> None:
        """Removes what writers that were killed left unfinished below ``folder``; nobody may be writing there. An
        object store has nothing of the kind."""
        if self.path is not None:
            for left in (self.path / folder).rglob(f".*{UNFINISHED}"):
                left.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Also where it is not there."""
        with contextlib.suppress(FileNotFoundError):
            if self.path is not None:
                (self.path / name).unlink()
            else:
                filesystem(self.address).rm_file(f"{self.address}/{name}")

    def write_table(self, name: str, table: Any) -> None:
        """``table``: pyarrow's. Raises ``OSError``."""
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self.write(name, buffer.getvalue())


def run_name() -> str:
    """Of a run's parts, no two alike."""
    return secrets.token_hex(6)
