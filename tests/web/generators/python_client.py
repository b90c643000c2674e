"""The client that openapi-python-client makes, in an environment of its own: python python_client.py URL SCAN."""

import sys
from io import BytesIO
from pathlib import Path

from generated import Client
from generated.api.models import list_models
from generated.api.scans import segment
from generated.models import Form, Problem, ProblemCode, Segmentation, SegmentationVerdict
from generated.types import File

url, scan = sys.argv[1], Path(sys.argv[2]).read_bytes()
client = Client(base_url=url)
for body in (File(BytesIO(scan)), Form(file=File(BytesIO(scan), file_name="a.png"))):
    found = segment.sync(client=client, body=body, threshold=0.5, outputs="none")
    assert isinstance(found, Segmentation), found
    assert isinstance(found.verdict, SegmentationVerdict)
    print(found.verdict.value, found.tumor_pixels, found.model.version)
refused = segment.sync(client=client, body=File(BytesIO(b"GIF89a")))
assert isinstance(refused, Problem), refused
assert refused.code is ProblemCode.UNSUPPORTED_FORMAT
print(refused.code.value, refused.status)
models = list_models.sync(client=client)
assert found.model.version == models.default
