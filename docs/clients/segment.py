"""python segment.py URL SCAN (pip install requests). More convenient: docs/client.md."""

import sys
import time
from pathlib import Path

import requests

url, scan = sys.argv[1], Path(sys.argv[2]).read_bytes()
for _ in range(5):
    answer = requests.post(f"{url}/api/v1/segment", params={"outputs": "none"}, data=scan, timeout=600)
    if answer.status_code != 503:
        break
    time.sleep(int(answer.headers.get("Retry-After", 5)))
found = answer.json()
if not answer.ok:
    sys.exit(f"{found['code']}: {found['detail']}")
print(found["verdict"], found["tumor_pixels"])
