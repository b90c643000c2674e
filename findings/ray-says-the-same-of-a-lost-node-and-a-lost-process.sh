#!/usr/bin/env bash
# Ray 2.60.0 raises the same class, ActorDiedError, where an actor's process was ended and where its whole node was. Who counts tries
# against a task (it may have been the reason for the one, not for the other) has to read the message: "because its node has died" is
# in it for a node alone. Before that ActorUnavailableError may come, for both, which says neither.
# Seen: process: ActorDiedError by its words no node; node: ActorDiedError by its words a node
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check ray==2.60.0
cd "$folder"
cat > lost.py <<"PY"
import os
import signal
import time

import ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = {name: cluster.add_node(num_cpus=1, resources={name: 1}) for name in ("first", "second")}
ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")


@ray.remote(num_cpus=1, max_restarts=0)
class Actor:
    def pid(self):
        return os.getpid()


def lost(name, end):
    actor = Actor.options(resources={name: 1}).remote()
    end(ray.get(actor.pid.remote()))
    while True:  # it may take a moment to be heard
        try:
            ray.get(actor.pid.remote())
        except ray.exceptions.ActorUnavailableError:
            time.sleep(0.2)
        except ray.exceptions.RayActorError as error:
            return type(error).__name__, "because its node has died" in str(error)


process = lost("first", lambda pid: os.kill(pid, signal.SIGTERM))
node = lost("second", lambda _pid: cluster.remove_node(nodes["second"], allow_graceful=False))
ray.shutdown()
cluster.shutdown()
assert process == ("ActorDiedError", False) and node == ("ActorDiedError", True), f"changed: {process} {node}"
print(f"process: {process[0]} by its words no node; node: {node[0]} by its words a node")
PY
HOME="$folder" RAY_USAGE_STATS_ENABLED=0 venv/bin/python lost.py 2>log || { tail -5 log; exit 1; }
