#!/usr/bin/env bash
# kubernetes-validate 1.37.0 ends with 0 for every custom resource (a KServe InferenceService with a misspelt field) and for a kind that
# was removed years ago (extensions/v1beta1), with a WARN line only. In CI each WARN has to be a failure.
# Seen: two WARN lines, exit status 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
cd "$folder"
cat > manifests.yaml <<"YAML"
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: one}
spec: {predictor: {model: {modelFormat: {name: pytorch}, misspelt: 1}}}
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: two}
spec: {replicas: "many"}
YAML
status=0
venv/bin/kubernetes-validate manifests.yaml >log 2>&1 || status=$?
warned=$(grep -c WARN log || true)
[ "$status $warned" = "0 2" ] || { echo "changed: exit status $status, $warned WARN lines"; cat log; exit 1; }
echo "$warned WARN lines, exit status $status"
