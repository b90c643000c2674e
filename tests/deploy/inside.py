"""The container of a manifest, without a cluster: its command, environment and user in namespaces of its own, where the
checkout lies where the image has it, nothing can be written to but the pod's volumes, and there is no network."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from archive.store import ROOT

TOOLS = ("unshare", "nsenter", "setpriv", "mount", "ip", "curl")
WORKDIR = "/srv/brainseg"


@dataclass(frozen=True)
class Container:
    """``process``: ends with the command's status."""

    process: subprocess.Popen[bytes]
    output: Path

    def _enter(self, *command: str) -> subprocess.CompletedProcess[str]:
        there = ["nsenter", "-t", str(self.process.pid), "-m", "-n"]  # each step becomes the next: one process
        return subprocess.run([*there, *command], capture_output=True, text=True, timeout=120, check=False)

    def probe(self, path: str, port: int) -> int:
        """The status that a kubelet gets, which names the pod's address; 0 where nobody answers."""
        url, host = f"http://127.0.0.1:{port}{path}", f"Host: 10.1.2.3:{port}"
        done = self._enter("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", host, "--max-time", "60", url)
        return int(done.stdout or 0)

    def stop(self) -> int:
        """SIGTERM to the command, as a kubelet would; its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(300)

    def printed(self) -> str:
        return self.output.read_text(errors="replace")


def start(pod: dict[str, Any], store: Path, keys: Path, output: Path) -> Container:
    """The first container of ``pod``; ``store``: what lies in the volume of models, ``keys``: the file in the secret.
    Skips where this machine allows no namespaces."""
    if missing := [name for name in TOOLS if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)}: not here")
    if subprocess.run(["unshare", "-mn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here: that takes root, and a machine that allows them")
    one = pod["containers"][0]
    own = {**pod.get("securityContext", {}), **one["securityContext"]}
    places = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
    emptied = [places[volume["name"]] for volume in pod["volumes"] if "emptyDir" in volume]
    user = f"uid={own['runAsUser']},gid={own['runAsGroup']}"
    lines = [
        "set -eu",
        "mount --make-rprivate /",
        "ip link set lo up",
        "root=$(mktemp -d)",
        "mount -t tmpfs none $root",
    ]
    # Sources first: the volume at /tmp may hide where they lie.
    lines += ["mkdir $root/code $root/store $root/keys"]
    lines += [
        f"mount --rbind {shlex.quote(str(ROOT))} $root/code",
        f"mount --rbind {shlex.quote(str(store))} $root/store",
    ]
    lines += [f"install -m 440 -g {own['runAsGroup']} {shlex.quote(str(keys))} $root/keys/keys"]
    # A tmpfs over each first folder gives the mount points, which this machine need not have.
    for top in ("/srv", "/var/lib", "/run"):
        lines += [f"mount -t tmpfs none {top}"]
    # Python itself may lie in a home that is closed to others, which an image's does not.
    python = sys.base_prefix
    if not Path(python).is_relative_to("/usr"):
        top = "/".join(python.split("/")[:2])
        lines += [f"mkdir $root/python && mount --rbind {python} $root/python"]
        lines += [f"mount -t tmpfs -o mode=755 none {top} && mkdir -p {python} && mount --rbind $root/python {python}"]
    lines += [f"mkdir -p {WORKDIR} {places['keys']}", f"mount --rbind $root/code {WORKDIR}"]
    lines += [f"mount --bind $root/keys {places['keys']}"]
    models = places.get("models", "/mnt/models")
    if models.startswith("/mnt"):
        lines += ["mount -t tmpfs none /mnt", f"mkdir {models}"]
    lines += [f"mount --rbind $root/store {models}"]
    lines += [f"mount -o remount,bind,ro {place}" for place in (WORKDIR, models, places["keys"])]
    for place in emptied:
        lines += [f"mkdir -p {place}", f"mount -t tmpfs -o {user},mode=0777 none {place}"]
    lines += [f"mount -o remount,ro {top}" for top in ("/srv", "/var/lib", "/run")] + ["mount -o remount,bind,ro /"]
    variables = [f"{entry['name']}={entry['value']}" for entry in one["env"]]
    caged = ["setpriv", f"--reuid={own['runAsUser']}", f"--regid={own['runAsGroup']}", "--clear-groups"]
    caged += [
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "env",
        "-i",
        "PATH=/usr/local/bin:/usr/bin:/bin",
    ]
    lines += [f"cd {WORKDIR}", "exec " + shlex.join([*caged, *variables, *one["command"], *one["args"]])]
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", "-mn", "bash", "-c", "\n".join(lines)], stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    return Container(process, output)
