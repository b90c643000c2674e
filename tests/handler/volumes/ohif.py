"""A real PACS and a real viewer: Debian's Orthanc, and OHIF from npm in front of it, both on loopback."""

from __future__ import annotations

import fcntl
import json
import mimetypes
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from serving.ports import free_port
from tests.browser.conftest import chromium
from tests.kept import kept
from tests.waiting import until

VERSION = "3.13.2"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
CONFIG = """window.config = {
  extensions: [], modes: [], showStudyList: true, maxNumberOfWebWorkers: 2,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'test', name: 'test', wadoUriRoot: '/dicom-web', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      qidoSupportsIncludeField: false, imageRendering: 'wadors', thumbnailRendering: 'wadors',
      omitQuotationForMultipartRequest: true, bulkDataURI: { enabled: true },
    },
  }],
};
"""


def files() -> Path:
    """OHIF as built, fetched once and kept."""
    folder = kept(f"ohif-{VERSION}")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            command = ["npm", "pack", "--silent", f"@ohif/app@{VERSION}"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500)
            if ran.returncode:
                pytest.skip(f"npm could not fetch OHIF: {ran.stderr.strip()[-300:]}")
            with tarfile.open(next(folder.glob("*.tgz"))) as archive:
                archive.extractall(folder, filter="data")
            (folder / "package" / "dist" / "app-config.js").write_text(CONFIG)
            (folder / "complete").touch()
    return folder / "package" / "dist"


@contextmanager
def orthanc(folder: Path) -> Iterator[int]:
    """Its port."""
    port = free_port()
    config = {
        "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": port,
        "DicomServerEnabled": False, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)

        def answers() -> bool:
            assert process.poll() is None, (folder / "orthanc.log").read_text()[-2000:]
            with suppress(requests.ConnectionError):
                return get(port, "/system").ok
            return False

        try:
            until(answers, "Orthanc does not answer")
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # loopback goes through no proxy
    return session


def get(port: int, path: str, accept: str = "*/*") -> requests.Response:
    """What Orthanc answers."""
    with _session() as session:
        return session.get(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept}, timeout=60)


def store(port: int, data: bytes) -> str:
    """Orthanc's name for the object, which must be new to it."""
    with _session() as session:
        said = session.post(f"http://127.0.0.1:{port}/instances", data=data, timeout=60).json()
    assert said["Status"] == "Success"
    return str(said["ID"])


@contextmanager
def viewer(port: int) -> Iterator[str]:
    """OHIF's address: its files and Orthanc's DICOMweb, of the Orthanc at ``port``, under one origin."""
    root = files().resolve()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.startswith("/dicom-web"):
                got = get(port, self.path, self.headers.get("Accept", "*/*"))
                return self.send(got.status_code, got.content, got.headers.get("Content-Type", "application/json"))
            path = (root / self.path.partition("?")[0].lstrip("/")).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                path = root / "index.html"  # the viewer's own routes
            kind = "application/wasm" if path.suffix == ".wasm" else mimetypes.guess_type(path)[0]
            return self.send(200, path.read_bytes(), kind or "application/octet-stream")

        def send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def missing() -> str | None:
    """What is not here and would be needed."""
    if not shutil.which("Orthanc") or not PLUGIN.exists():
        return "Orthanc: apt-get install orthanc orthanc-dicomweb"
    if not shutil.which("npm"):
        return "npm, which fetches OHIF"
    if not chromium():
        return "Chromium: apt-get install chromium-headless-shell"
    return None
