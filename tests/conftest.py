"""Shared fixtures: a server with the released weights, and one with a tiny network for what does not need them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from archive.store import MODEL_STORE, SAMPLES
from handler.resources import Plan
from samples.make import HEALTHY, LESION, STACK
from tests.server import Server
from tests.tiny import write_tiny_release

if TYPE_CHECKING:
    from handler.pipeline import Model


hypothesis_settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
QUICK = hypothesis_settings.get_profile("quick")
hypothesis_settings.register_profile("search", QUICK, max_examples=1000, derandomize=False)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


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


@pytest.fixture(scope="session")
def flair() -> Model:
    """Marks what is bright in FLAIR: logit = 20 (FLAIR - 0.6), on the network's 256 x 256."""
    from tests.handler.models import FLAIR_RULE, model

    return model(FLAIR_RULE)


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny release 1.0 and its archive as ``scripts/package`` makes it; what else tests need is made
    from it without packaging again."""
    from archive import convert, mar
    from tests.rollout.stage import ARCHIVE, RELEASE

    folder = tmp_path_factory.mktemp("packaged")
    assert write_tiny_release(folder).name == RELEASE
    with pytest.MonkeyPatch.context() as patch:
        # So small a network gains nothing by two threads, which on a busy machine wait for each other for minutes.
        for module in (mar, convert):
            patch.setattr(module, "plan", lambda: Plan(1, 1))
        mar.package(folder / RELEASE, folder / ARCHIVE)
    return folder
