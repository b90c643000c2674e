"""What of the environment may touch our requests: nothing on loopback, the proxy elsewhere, ``.netrc`` never."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

import brainseg_client.session
import exchange.session
from benchmark import servers
from brainseg_client import Client
from rollout.server import TorchServe
from serving.ready import wait_front_door, workers_ready
from serving.torchserve import Places, Ports
from tests.proxy import Heard, behind_a_proxy, listening
from training.judge.predictor import ServerPredictor

ROOT = Path(__file__).parents[2]
TOKEN = {"Authorization": "Bearer sesame"}
ELSEWHERE = "http://scans.example"
OPEN = pytest.mark.parametrize("open_session", [exchange.session.open_session, brainseg_client.session.open_session])


@OPEN
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.1", "2130706433"])
def test_loopback_is_asked_directly(open_session: Callable[[], requests.Session], host: str, tmp_path: Path) -> None:
    with behind_a_proxy(tmp_path) as proxy, listening() as server, open_session() as session:
        assert session.get(server.url.replace("127.0.0.1", host), headers=TOKEN, timeout=120).ok
    assert (server.tokens, proxy.lines) == (["Bearer sesame"], [])


@OPEN
def test_another_machine_is_asked_by_the_proxy(open_session: Callable[[], requests.Session], tmp_path: Path) -> None:
    with behind_a_proxy(tmp_path) as proxy, open_session() as session:
        assert session.get(f"{ELSEWHERE}/readyz", headers=TOKEN, timeout=120).ok
        assert session.get(f"{ELSEWHERE}/readyz", timeout=120).ok
    assert proxy.lines == [f"GET {ELSEWHERE}/readyz HTTP/1.1"] * 2
    assert proxy.tokens == ["Bearer sesame", ""]  # .netrc, which knows every machine, was not asked


@OPEN
def test_exceptions_from_the_proxy_hold(
    open_session: Callable[[], requests.Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with behind_a_proxy(tmp_path) as proxy, open_session() as session:
        monkeypatch.setenv("no_proxy", ".invalid")
        with pytest.raises(requests.ConnectionError):
            session.get("http://scans.invalid", timeout=120)
    assert proxy.lines == []


@OPEN
def test_a_token_is_not_redirected(open_session: Callable[[], requests.Session]) -> None:
    with listening() as other, listening(307, {"Location": other.url}) as server, open_session() as session:
        assert session.post(server.url, data=b"scan", headers=TOKEN, timeout=120).status_code == 307
    assert (server.tokens, other.lines) == (["Bearer sesame"], [])


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://[::1]:8000/", True),
        ("http://[::ffff:127.0.0.1]/", True),
        ("http://[::]/", True),
        ("http://door.localhost./", True),
        ("http://localhost.example/", False),
        ("http://127.0.0.1.example/", False),
        ("http://user@192.0.2.7:8000/", False),
        ("http://[2001:db8::1]/", False),
        ("http:///nowhere", False),
    ],
)
def test_what_is_loopback(url: str, ours: bool) -> None:
    assert exchange.session.is_loopback(url) is ours


def test_certificates_of_the_environment_are_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ours.pem")
    session = exchange.session.open_session()

    def verify(url: str, given: object = None) -> object:
        return session.merge_environment_settings(url, {}, None, given, None)["verify"]

    assert (verify("https://scans.example"), verify("https://127.0.0.1")) == ("/etc/ours.pem", True)
    assert verify("https://scans.example", False) is False


def _state(folder: Path, url: str) -> Places:
    """A state folder of a server whose ports are all ``url``'s."""
    places = Places(folder, folder / "tmp", folder)
    names = ("inference", "management", "metrics")
    lines = [f"model_store={folder}", *(f"{name}_address={url}" for name in names)]
    (folder / "config.properties").write_text("\n".join(lines))
    places.key_file.write_text('{"management": {"key": "m"}, "inference": {"key": "i"}}')
    return places


ROOMS: dict[str, Callable[[Heard, Places], object]] = {
    "client": lambda server, _: Client(server.url, "sesame", patience=0).ready(),
    "rollout": lambda server, places: TorchServe(places.state).default(),
    "rollout's scans": lambda server, places: TorchServe(places.state).predict(b"scan"),
    "serving": lambda server, places: workers_ready(places, _ports(server), "1.0"),
    "serving's front door": lambda server, _: wait_front_door(f"{server.url}/", lambda: True, 60),
    "benchmark": lambda server, _: servers._session().get(server.url, headers=TOKEN, timeout=120),
    "training": lambda server, _: ServerPredictor(server.url, "sesame")._session.get(server.url, timeout=120),
}


def _ports(server: Heard) -> Ports:
    port = int(server.url.rpartition(":")[2])
    return Ports(port, port, port)


@pytest.mark.parametrize("room", list(ROOMS))
def test_no_room_tells_a_proxy_of_a_server_on_loopback(room: str, tmp_path: Path) -> None:
    described = b'[{"modelVersion": "1.0", "minWorkers": 1, "workers": [{"status": "READY"}]}]'
    with behind_a_proxy(tmp_path) as proxy, listening(body=described) as server:
        ROOMS[room](server, _state(tmp_path, server.url))
    assert proxy.lines == []
    assert server.lines


# What else could open a connection. The front door's own exchange with TorchServe takes nothing from the environment.
OTHER_WAYS = {"urllib.request", "http.client", "urllib3", "httpx", "aiohttp", "pycurl", "urlopen", "HTTPConnection"}
EXCEPTIONS = {"web/way/wire.py": {"http.client", "HTTPConnection"}}
# Whether an index of packages answers, asked before anything of ours is installed; nothing secret goes there.
BEFORE_ANYTHING = {"scripts/bootstrap.sh": {"urlopen", "urllib.request"}}
SENDERS = {"Session", "session", "request", "get", "post", "put", "patch", "delete", "head", "options"}


def _ways(tree: ast.AST) -> set[str]:
    """The ways to make a request, other than a session that somebody has opened, that a module knows."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & OTHER_WAYS
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            found |= {node.module or "", *(f"{node.module}.{name}" for name in names)} & OTHER_WAYS
            found |= {f"requests.{name}" for name in names & SENDERS if node.module == "requests"}
        elif isinstance(node, ast.Attribute):
            if ast.unparse(node.value) == "requests" and node.attr in SENDERS:
                found.add(f"requests.{node.attr}")
            found |= {node.attr} & OTHER_WAYS
    return found


def _opened(tree: ast.AST) -> set[str]:
    """As :func:`_ways`, without ``requests.Session`` where it is only named as a type."""
    named = {ast.unparse(one) for node in ast.walk(tree) for one in _annotations(node)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    bases = {ast.unparse(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    found = _ways(tree)
    only_named = "requests.Session" in " ".join(named) and "requests.Session" not in called | bases
    return found - {"requests.Session"} if only_named else found


def _annotations(node: ast.AST) -> list[ast.expr]:
    found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    return [one for one in found if one is not None]


def test_nothing_of_ours_makes_requests_in_another_way() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"} | {"client", "deploy"}
    sources = [path for room in sorted(rooms) for path in (ROOT / room).rglob("*.py")]
    factories = {"exchange/session.py", "client/brainseg_client/session.py"}
    found = {
        name: ways
        for path in sources
        if (name := path.relative_to(ROOT).as_posix()) not in factories
        and (ways := _opened(ast.parse(path.read_text("utf-8"))) - EXCEPTIONS.get(name, set()))
    }
    assert len(sources) > 100
    assert found == {}
    for text in [*(ROOT / "scripts").iterdir(), *(ROOT / "deploy").iterdir()]:
        if text.is_file() and text.name != "hashes.txt":  # names and digests of packages
            allowed = BEFORE_ANYTHING.get(text.relative_to(ROOT).as_posix(), set())
            assert {way for way in OTHER_WAYS if way in text.read_text("utf-8")} <= allowed, text


@pytest.mark.parametrize(
    ("source", "ways"),
    [
        ("import requests\nrequests.post('http://x')", {"requests.post"}),
        ("from requests import get", {"requests.get"}),
        ("import requests\nwith requests.Session() as s:\n    pass", {"requests.Session"}),
        ("import requests\ndef f() -> requests.Session: ...", set()),
        ("import urllib.request as u", {"urllib.request"}),
        ("from urllib import request", {"urllib.request"}),
        ("from http.client import HTTPConnection", {"http.client"}),
        ("import requests\nrequests.Timeout", set()),
    ],
)
def test_the_reader_of_ways(source: str, ways: set[str]) -> None:
    assert _opened(ast.parse(source)) == ways


def test_the_client_has_the_same_factory() -> None:
    """Its own copy, since it imports nothing of ours."""
    ours, theirs = (
        path.read_text("utf-8").split('"""', 2)[2] for path in map(_file, (exchange.session, brainseg_client.session))
    )
    assert ours == theirs


def _file(module: object) -> Path:
    return Path(str(getattr(module, "__file__", "")))
