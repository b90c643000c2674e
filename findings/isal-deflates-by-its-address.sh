#!/usr/bin/env bash
# python-isal 1.9.1 (ISA-L 2.32.1), x86-64: at levels 1 and 2 the same bytes do not always give the same zlib stream. Where it begins one,
# the loop takes the hash for the third byte from a register that still holds the stream object's address: a match with the first two
# places is then passed over at some addresses, once in thousands. Every stream unpacks to the same bytes. Programs that compare
# packed answers, or tests of them, see it once in a long while. Python's zlib gives one stream; so does ISA-L if the first four bytes
# are flushed on their own (Z_SYNC_FLUSH), for 6 bytes more.
# Seen: of 40,000 streams of the same 649 bytes, packed by objects that are all kept, 7 to 12 differ; 0 with the flush; 0 by zlib
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check isal==1.9.1
cd "$folder"
cat > packs.py <<"PY"
import json, random, sys, zlib
from isal import isal_zlib

draw = random.Random(1)
begin = draw.randbytes(5)
rest = bytes(draw.randrange(8) for _ in range(600))
data = b"".join([begin, draw.randbytes(30), begin[:4], draw.randbytes(6), begin[1:], rest])
how, kept, found = sys.argv[1], [], {}
for _ in range(10_000):
    packer = zlib.compressobj(1) if how == "zlib" else isal_zlib.compressobj(1)
    kept.append(packer)  # so that the next one is at another address
    at = 4 if how == "flushed" else 0
    packed = packer.compress(data[:at]) + packer.flush(isal_zlib.Z_SYNC_FLUSH) if at else b""
    packed += packer.compress(data[at:]) + packer.flush()
    found[packed] = found.get(packed, 0) + 1
assert all(zlib.decompress(packed) == data for packed in found)
print(10_000 - max(found.values()))
PY
for how in alone flushed zlib; do
    others=0
    for _ in 1 2 3 4; do others=$((others + $(venv/bin/python packs.py $how))); done
    echo "$how: $others of 40,000 differ from the rest"
    case $how in
        alone) test "$others" -gt 0 || { echo "changed: no stream differs"; exit 1; } ;;
        *) test "$others" -eq 0 || { echo "changed"; exit 1; } ;;
    esac
done
