"""A real archive for tests: Debian's Orthanc with its DICOMweb plugin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from serving.ports import free_port
from tests.waiting import until

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass
class Orthanc:
    """Debian's Orthanc on free ports; knows the node as ``node``."""

    folder: Path
    http: int
    dicom: int
    user: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def address(self) -> str:
        return f"ORTHANC@127.0.0.1:{self.dicom}"

    def get(self, path: str) -> requests.Response:
        reply = requests.get(self.url + path, auth=self.user, timeout=120)
        reply.raise_for_status()
        return reply

    def upload(self, files: list[bytes]) -> None:
        for data in files:
            requests.post(f"{self.url}/instances", data=data, auth=self.user, timeout=120).raise_for_status()

    def of_modality(self, modality: str) -> list[bytes]:
        found = []
        for one in self.get("/instances").json():
            if self.get(f"/instances/{one}/simplified-tags").json().get("Modality") == modality:
                found.append(self.get(f"/instances/{one}/file").content)
        return found


@contextmanager
def running(folder: Path, user: tuple[str, str] | None = None) -> Iterator[Orthanc]:
    """An archive that keeps everything in ``folder``, which is made. ``user``: whoever asks has to be, by name and
    password; else nobody is asked who they are. Skips where no Orthanc is installed."""
    program = shutil.which("Orthanc")
    if not program or not PLUGIN.exists():
        assert not os.environ.get("CI"), "apt-get install orthanc orthanc-dicomweb"
        pytest.skip("no Orthanc: apt-get install orthanc orthanc-dicomweb")
    place = Orthanc(folder, free_port(), free_port(), user)
    place.folder.mkdir()
    settings = {
        "Name": "test", "StorageDirectory": str(place.folder), "IndexDirectory": str(place.folder),
        "HttpPort": place.http, "DicomPort": place.dicom, "DicomAet": "ORTHANC", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": user is not None, "RegisteredUsers": dict([user] if user else ()),
        "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True,
        "DicomCheckCalledAet": False, "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (place.folder / "orthanc.json").write_text(json.dumps(settings))
    log = (place.folder / "log").open("w")
    process = subprocess.Popen([program, str(place.folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT)

    def listens() -> bool:
        assert process.poll() is None, (place.folder / "log").read_text()
        try:
            return requests.get(f"{place.url}/system", auth=user, timeout=10).ok
        except requests.ConnectionError:
            return False

    until(listens, "Orthanc listens")
    try:
        yield place
    finally:
        process.terminate()
        process.wait(120)
        log.close()
