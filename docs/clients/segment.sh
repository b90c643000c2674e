#!/usr/bin/env bash
# bash segment.sh URL SCAN: curl waits as Retry-After says, and tries again.
set -euo pipefail
answer=$(mktemp) # not a pipe, into which the refusal before the retry would go as well
trap 'rm -f "$answer"' EXIT
curl -sS --fail-with-body --retry 5 -X POST -T "$2" -o "$answer" "$1/api/v1/segment?outputs=none" || { cat "$answer"; exit 1; }
python3 -c 'import json, sys; found = json.load(open(sys.argv[1])); print(found["verdict"], found["tumor_pixels"])' "$answer"
