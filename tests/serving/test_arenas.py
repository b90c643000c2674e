"""What a process that answers keeps of the memory that its requests have given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from archive.programs import environment
from serving.torchserve import ARENAS, MANY_THREADS

# Threads as of requests, that have worked with two arrays each and wait.
CODE = """
import threading
import numpy as np

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def work(ready, enough):
    for _ in range(3):
        one, other = np.full(17 << 20, 1, np.uint8), np.full(17 << 20, 1, np.uint8)
        del one, other
    some = [np.full(100_000, 1, np.uint8) for _ in range(20)]
    del some
    ready.wait()
    enough.wait()

before, most = resident(), 0
for _ in range(4):
    ready, enough = threading.Barrier(5), threading.Event()
    threads = [threading.Thread(target=work, args=(ready, enough)) for _ in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    most = max(most, resident() - before)
    enough.set()
    for thread in threads:
        thread.join()
print(most)
"""


# Threads as of a front door, each of which has had seven blocks of each size above Python's own and waits.
SMALL = """
import threading

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def work(enough):
    some = [bytes(size) for size in range(520, 980, 16) for _ in range(7)]
    del some
    ready.wait()
    enough.wait()

ready, enough = threading.Barrier(91), threading.Event()
threads = [threading.Thread(target=work, args=(enough,)) for _ in range(90)]
before = resident()
for thread in threads:
    thread.start()
ready.wait()
print(resident() - before)
enough.set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_that_large_requests_gave_back_is_not_kept() -> None:
    """36 MiB and more stay without the two thresholds."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env={**environment(), **ARENAS}
    )
    assert float(done.stdout) < 20, done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_ninety_threads_keep_no_small_blocks() -> None:
    """15 MiB stay with a cache in each."""
    done = subprocess.run(
        [sys.executable, "-c", SMALL], capture_output=True, text=True, check=True, env={**environment(), **MANY_THREADS}
    )
    assert float(done.stdout) < 7, done.stdout
