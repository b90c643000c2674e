#!/usr/bin/env bash
# pytest-xdist 3.8.0 beside pytest 9.2.0: --dist loadgroup groups nothing, and says nothing. xdist appends "@group" to item._nodeid,
# from which item.nodeid no longer comes. Tests marked with one xdist_group run on both workers, so a server that is to be started
# once for them is started twice. A scheduler of its own (pytest_xdist_make_scheduler) gets round it.
# Seen: six tests of one group ran on 2 workers
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pytest==9.2.0 pytest-xdist==3.8.0
cd "$folder"
cat > test_group.py <<"PY"
import pathlib

import pytest


@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_one(number, worker_id):
    pathlib.Path(f"seen-{worker_id}").touch()
PY
venv/bin/python -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup test_group.py
seen=$(ls seen-* | wc -l)
[ "$seen" = 2 ] || { echo "changed: the group ran on $seen worker"; exit 1; }
echo "six tests of one group ran on $seen workers"
