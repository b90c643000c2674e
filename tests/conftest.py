"""Shared fixtures: a server with the released weights, and one with a tiny network for what does not need them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from samples.make import HEALTHY, LESION, STACK
from scripts.tools.places import MODEL_STORE, SAMPLES
from tests.serving import Server
from tests.tiny import write_tiny_release


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product: ``scripts/serve`` with the weights the repository carries."""
    server = Server(MODEL_STORE, tmp_path_factory.mktemp("run") / "state")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with one tiny release, 1.0."""
    store = tmp_path_factory.mktemp("store")
    write_tiny_release(store)
    return store


@pytest.fixture(scope="session")
def tiny_server(tmp_path_factory: pytest.TempPathFactory, tiny_store: Path) -> Iterator[Server]:
    """``scripts/serve`` with a tiny network: for what is about the server and not about the answer."""
    server = Server(tiny_store, tmp_path_factory.mktemp("tiny") / "state")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def lesion() -> bytes:
    return (SAMPLES / LESION).read_bytes()


@pytest.fixture(scope="session")
def healthy() -> bytes:
    return (SAMPLES / HEALTHY).read_bytes()


@pytest.fixture(scope="session")
def stack() -> bytes:
    return (SAMPLES / STACK).read_bytes()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder ``kaggle_3m`` below ``BRAINSEG_DATA``; tests that need it are skipped without."""
    if not os.environ.get("BRAINSEG_DATA"):
        pytest.skip("BRAINSEG_DATA is not set: no real cases here")
    return Path(os.environ["BRAINSEG_DATA"]) / "kaggle_3m"
