"""Nothing a client sends may kill a worker, or hurt its neighbours."""

from __future__ import annotations

import concurrent.futures
import io
import os

import numpy as np
import psutil
import pytest
import requests
import tifffile

from handler.resources import plan
from prove.drawn.pictures import jpeg, png
from prove.server import Server
from samples.phantom import draw
from serving.torchserve import ARENAS, MANY_THREADS
from tests.malformed import malformed_inputs

pytestmark = pytest.mark.server


def test_malformed_inputs_get_4xx_and_the_worker_lives(tiny_server: Server, lesion: bytes) -> None:
    before = tiny_server.worker_pids()
    inputs = malformed_inputs()
    assert len(inputs) >= 200
    replies = {name: tiny_server.post(data, X_BrainSeg_Outputs="none") for name, data in inputs}
    wrong = {name: reply.status_code for name, reply in replies.items() if reply.status_code >= 500}
    assert wrong == {}
    refused = [reply for reply in replies.values() if reply.status_code != 200]
    assert len(refused) > 100
    assert all(reply.json()["code"] for reply in refused)
    assert tiny_server.worker_pids() == before
    assert tiny_server.post(lesion).status_code == 200


def test_headers_of_all_kinds_leave_the_worker_alive(tiny_server: Server, lesion: bytes) -> None:
    before = tiny_server.worker_pids()
    odd = ["é".encode().decode("latin-1"), "\x7f", "a" * 5000, "0.5, 0.6", "nan", "1e-400", "٣"]
    for value in odd:
        reply = tiny_server.post(lesion, X_BrainSeg_Threshold=value.encode("utf-8").decode("latin-1"))
        assert reply.status_code == 400, value
        assert reply.json()["code"] == "invalid_parameter"
    assert tiny_server.worker_pids() == before


def test_batch_of_four_keeps_each_item_apart(tiny_server: Server, lesion: bytes, stack: bytes) -> None:
    """A real batch: the same archive under another name, four requests a batch, three seconds to fill it."""
    register = {
        "url": "brainseg-1.0.mar",
        "model_name": "four",
        "batch_size": "4",
        "max_batch_delay": "3000",
        "initial_workers": "1",
        "synchronous": "true",
    }
    models = f"{tiny_server.management}/models"
    reply = requests.post(models, params=register, headers=tiny_server.auth("management"), timeout=120)
    assert reply.status_code == 200, reply.text
    url = f"http://127.0.0.1:{tiny_server.inference_port}/predictions/four"
    items = [
        (lesion, {"X-BrainSeg-Outputs": "mask"}),
        (lesion[: len(lesion) // 2], {}),
        (lesion, {"X-BrainSeg-Threshold": "7"}),
        (stack, {"X-BrainSeg-Outputs": "mask"}),
    ]

    def send(item: tuple[bytes, dict[str, str]]) -> requests.Response:
        headers = {**tiny_server.auth(), "Content-Type": "application/octet-stream", **item[1]}
        return requests.post(url, data=item[0], headers=headers, timeout=120)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(send, items))
    try:
        assert [reply.status_code for reply in replies] == [200, 422, 400, 200]
        assert [reply.json().get("code") for reply in replies] == [None, "corrupt_image", "invalid_parameter", None]
        for (data, headers), reply in zip(items, replies, strict=True):
            if reply.status_code == 200:
                alone = tiny_server.post(data, X_BrainSeg_Outputs=headers["X-BrainSeg-Outputs"]).json()
                assert {**alone, "timing_ms": 0} == {**reply.json(), "timing_ms": 0}
    finally:
        requests.delete(f"{models}/four", headers=tiny_server.auth("management"), timeout=120)


def test_a_full_queue_gets_what_each_gets_alone(tiny_server: Server, lesion: bytes, healthy: bytes) -> None:
    """TorchServe hands over as many as wait, as this machine takes; masks and numbers are those of a lone request."""
    for described in tiny_server.describe():
        assert (described["batchSize"], described["maxBatchDelay"]) == (plan().at_once, plan().delay_ms)
    answering = [*tiny_server.worker_pids(), tiny_server.processes()["front door"].pid]
    assert all(ARENAS.items() <= psutil.Process(pid).environ().items() for pid in answering)
    assert MANY_THREADS.items() <= psutil.Process(answering[-1]).environ().items()
    scans = [lesion, healthy, lesion[:500], png(draw(3, 0.08).image), jpeg(draw(4, 0.05).image)] * 4
    alone = [tiny_server.post(scan).json() for scan in scans[:5]] * 4
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = [reply.json() for reply in pool.map(tiny_server.post, scans)]
    for one, other in zip(alone, together, strict=True):
        assert {**one, "timing_ms": 0} == {**other, "timing_ms": 0}


def test_four_stacks_of_200_slices_at_once(tiny_server: Server, lesion: bytes) -> None:
    """39 MB each, the largest stack of ordinary slices: queue, heap, direct memory and the worker hold."""
    generator = np.random.default_rng(0)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, generator.integers(0, 256, (200, 256, 256, 3), dtype=np.uint8), photometric="rgb")
    data = buffer.getvalue()
    before = tiny_server.worker_pids()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: tiny_server.post(data, X_BrainSeg_Outputs="mask"), range(4)))
    assert [reply.status_code for reply in replies] == [200] * 4
    assert all(len(reply.json()["slices"]) == 200 for reply in replies)
    assert tiny_server.worker_pids() == before


def test_too_large_a_body_is_refused_by_the_frontend_and_the_worker_lives(tiny_server: Server, lesion: bytes) -> None:
    before = tiny_server.worker_pids()
    reply = tiny_server.post(b"\x89PNG\r\n\x1a\n" + os.urandom(66 * 2**20))
    assert reply.status_code == 413
    assert tiny_server.post(lesion).status_code == 200
    assert tiny_server.worker_pids() == before


@pytest.mark.slow
def test_memory_stays_after_300_requests(tiny_server: Server, lesion: bytes) -> None:
    """Resident memory at the end within 10 % of that after the first 50."""
    process = psutil.Process(tiny_server.worker_pids("1.0")[0])
    session = requests.Session()
    session.headers.update({**tiny_server.auth(), "Content-Type": "image/png"})
    resident = []
    for _ in range(300):
        assert session.post(tiny_server.url, data=lesion, timeout=120).status_code == 200
        resident.append(process.memory_info().rss)
    assert resident[-1] <= 1.1 * resident[49], (resident[49], resident[-1])
