"""Who gets in: what must be refused is asked of a running server, row by row (docs/security.md: what holds it)."""

from __future__ import annotations

import io
import json
import socket
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import requests

from exchange.session import open_session
from prove.drawn.volumes import dicom_series, phantom
from prove.drawn.whole import whole_pictures
from prove.proof import Claims, Ground
from prove.server import Server
from prove.slow import Dripping, head, read_answer
from prove.stand import served
from prove.ways.http import code_of
from web.open_inference.messages import MESSAGES, SERVICE

KEY = "proof-0123456789abcdefghij"
LEFT = "brainseg-was-here"  # what a file would be called that came out of where it belongs
OVER = 70 * 2**20


@dataclass(frozen=True)
class Attempt:
    """``ask`` gives what came: a status and a code, as ``expected`` has them; several are joined by " or "."""

    what: str
    expected: str
    ask: Callable[[], str]


def _told(reply: requests.Response) -> str:
    code = code_of(reply)
    named = code.replace("_", "").isalpha()  # TorchServe's own answers have a number there, or nothing
    return f"{reply.status_code} {code}" if named else str(reply.status_code)


def _scan() -> bytes:
    return whole_pictures()["png-grey"]


def _post(url: str, data: bytes | None = None, **headers: str) -> str:
    sent = {"Content-Type": "application/octet-stream"} | {name.replace("_", "-"): v for name, v in headers.items()}
    with open_session() as session:
        return _told(session.post(url, data=_scan() if data is None else data, headers=sent, timeout=300))


def _get(port: int, path: str) -> str:
    """As written: a library would tidy the path first."""
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(head("Connection: close", method="GET", path=path))
        return str(read_answer(connection)[0])


def _raw(port: int, request: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        connection.sendall(request)
        status, _, body = read_answer(connection)
        return f"{status} {json.loads(body).get('code', 'ok')}"


def _dripping(port: int, first: bytes) -> str:
    slow = Dripping(port, first, pause=1.0)
    slow.start()
    try:
        slow.connection.settimeout(300)
        status, _, body = read_answer(slow.connection)
        return f"{status} {json.loads(body).get('code', 'ok')}"
    finally:
        slow.close()


def slip() -> bytes:
    """A zip of a series whose members lead out of it, a link among them; none of what they name is anything."""
    buffer, files = io.BytesIO(), [data for _, data in dicom_series(phantom((16, 16, 4)))]
    names = (f"../{LEFT}", f"/tmp/{LEFT}", f"a/../../../{LEFT}", f"..\\{LEFT}")  # noqa: S108  refused
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in zip(names, files, strict=True):
            archive.writestr(name, data)
        link = zipfile.ZipInfo(f"{LEFT}-link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
    return buffer.getvalue()


def left(*folders: Path) -> list[str]:
    """What came out."""
    return [str(path) for folder in folders for path in folder.glob(f"**/*{LEFT}*")]


def front(server: Server) -> Iterator[Attempt]:
    """The front door while it is open to this machine."""
    url, port = f"{server.door}/api/v1/segment", server.port
    unauthorized = "401 unauthorized"
    yield Attempt("a host that is not this machine", unauthorized, lambda: _post(url, Host="brainseg.example"))
    yield Attempt("a page elsewhere", unauthorized, lambda: _post(url, Origin="https://evil.example"))
    yield Attempt("a cross-site request", unauthorized, lambda: _post(url, Sec_Fetch_Site="cross-site"))
    yield Attempt("through a proxy", unauthorized, lambda: _post(url, X_Forwarded_For="10.0.0.1"))
    for path in (
        "/../config.properties",
        "/static/../../README.md",
        "/static/..%2f..%2fREADME.md",
        "/samples/..%2f..%2fx",
    ):
        yield Attempt(f"the path {path}", "404", partial(_get, port, path))
    for version in ("../2.0", "2.0%00", "%2e%2e%2f"):
        refused = "400 invalid_parameter or 404 model_not_found"
        yield Attempt(f"the version {version}", refused, partial(_post, f"{url}?version={version}"))
    yield Attempt("an unknown field", "400 invalid_parameter", lambda: _post(f"{url}?url=http://127.0.0.1/"))
    yield Attempt("70 MiB", "413 too_large", lambda: _raw(port, head(size=OVER)))
    yield Attempt("two lengths", "400 bad_request", lambda: _raw(port, head("Content-Length: 5", size=6) + b"hello!"))
    yield Attempt(
        "headers, a byte a second", "408 request_timeout", lambda: _dripping(port, head()[:-4] + b"\r\nX-Slow: ")
    )
    yield Attempt("a body, a byte a second", "408 request_timeout", lambda: _dripping(port, head(size=1_000_000)))


def torchserve(server: Server) -> Iterator[Attempt]:
    """TorchServe's own ports."""
    models = f"{server.management}/models"
    management, inference = server.auth("management"), server.auth()
    yield Attempt("TorchServe without a token", "400", lambda: _post(server.url))
    yield Attempt("TorchServe with the other port's token", "400", lambda: _post(server.url, None, **management))
    yield Attempt("the management port without a token", "400", lambda: _post(f"{models}?url=brainseg-1.0.mar", b""))
    other = "the management port with the inference token"
    yield Attempt(other, "400", lambda: _post(f"{models}?url=brainseg-1.0.mar", b"", **inference))
    for where in ("http://127.0.0.1:9/x.mar", "https://models.example/x.mar", "file:///etc/hostname", "../x.mar"):
        what = f"an archive from {where}, with the management token"
        asked = f"{models}?url={where}&model_name=x"
        yield Attempt(what, "400 or 404", partial(_post, asked, b"", **management))
    yield Attempt("70 MiB for TorchServe", "413", lambda: _post(server.url, bytes(OVER), **inference))


def guarded(server: Server) -> Iterator[Attempt]:
    """A front door with keys."""
    url, unauthorized = f"{server.door}/api/v1/segment", "401 unauthorized"
    yield Attempt("no key", unauthorized, lambda: _post(url))
    yield Attempt("a wrong key", unauthorized, lambda: _post(url, Authorization="Bearer " + "x" * len(KEY)))
    yield Attempt(
        "the key without its last letter", unauthorized, lambda: _post(url, Authorization=f"Bearer {KEY[:-1]}")
    )
    yield Attempt("the key as a password", unauthorized, lambda: _post(url, Authorization=f"Basic {KEY}"))
    yield Attempt(
        "v2 without a key", "401 unauthorized", lambda: _post(f"{server.door}/v2/models/brainseg/infer", b"{}")
    )
    yield Attempt("gRPC without a key", "UNAUTHENTICATED", lambda: _infer(server.grpc_port or 0))
    yield Attempt("the right key", "200 ok", lambda: _post(url, Authorization=f"Bearer {KEY}"))


def _infer(port: int) -> str:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request, reply = MESSAGES["ModelInferRequest"], MESSAGES["ModelInferResponse"]
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer", request.SerializeToString, reply.FromString)
        try:
            call(request(model_name="brainseg"), timeout=300)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def try_all(attempts: Iterator[Attempt], claims: Claims) -> None:
    """A row each."""
    for one in attempts:
        try:
            seen = one.ask()
        except (requests.RequestException, OSError, AssertionError) as error:
            seen = f"no answer: {type(error).__name__}"
        claims.one_of(one.what, one.expected.split(" or "), seen)


def files(server: Server, folder: Path, claims: Claims) -> None:
    """What lies on the disk, and what does not."""
    before = left(folder, Path("/tmp"))  # noqa: S108  looked at, not written
    for data in (slip(), _scan()):
        name = f"../../{LEFT}.png"
        with open_session() as session:
            session.post(f"{server.door}/api/v1/segment", data=data, timeout=300)
            session.post(f"{server.door}/api/v1/segment", files={"file": (name, data)}, timeout=300)
    after = left(folder, Path("/tmp"))  # noqa: S108
    claims.none("files out of a zip or a form whose names lead elsewhere", set(after) - set(before), "files")
    claims.equal("mode of the state folder", "0o700", oct(server.state.stat().st_mode & 0o777))
    claims.equal("mode of the key file", "0o600", oct(server.key_file.stat().st_mode & 0o777))
    tokens = [one["key"] for one in json.loads(server.key_file.read_text()).values() if isinstance(one, dict)]
    logs = [path for path in (server.state / "logs").rglob("*") if path.is_file()]
    told = [path.name for path in logs if any(token in path.read_text(errors="replace") for token in [*tokens, KEY])]
    claims.none(f"logs that hold a token or a key ({len(tokens)} looked for in {len(logs)})", told, "files")


def run(ground: Ground, claims: Claims) -> None:
    """Two servers, one after the other: open to this machine, and with keys."""
    keys = ground.folder / "keys"
    keys.write_text(f"proof {KEY}\n")
    keys.chmod(0o600)
    with served(ground.store, ground.folder / "open") as server:
        before = server.worker_pids()
        try_all(front(server), claims)
        try_all(torchserve(server), claims)
        files(server, ground.folder, claims)
        claims.equal("workers are the same processes", True, server.worker_pids() == before)
        claims.equal("a whole scan afterwards", "200 ok", _post(f"{server.door}/api/v1/segment"))
    with served(ground.store, ground.folder / "keys-on", "--api-keys", str(keys), grpc=True) as server:
        try_all(guarded(server), claims)
