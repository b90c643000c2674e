"""Shared fixtures. Take the cheapest that can show the thing:

- ``lesion``, ``healthy``, ``stack``: phantoms as bytes; ``flair``: a network in this process whose answer is known.
- ``packaged``: a tiny release and its archive, to read; ``tiny_store``: a model store of one's own with both.
- ``phantoms``, ``smoke_run``, ``release`` (in tests/training): a small data set, a run on it, its release, to read.
- ``tiny_server``: a whole server with a tiny network, for what is about the server and not about the answer.
- ``detector``, ``door`` (its front door's address), ``start_front``: a whole server that marks what is bright in FLAIR,
  versions 1.0 and 2.0, for what is about the answer.
- ``server``: the product with the released weights.

Each is made once: folders once a session for all workers (:mod:`tests.sharing`), servers once by the worker that has
all their tests (:mod:`tests.parts`). Whoever changes a shared server puts it back, and waits for events with
:func:`tests.waiting.until`. Marks and groups come from the fixtures; what starts servers, browsers or trainings without
them says so: ``server``, ``browser``, ``training``, ``slow``. ``latency``: judges how long answers take and runs alone;
``long``: only with ``./scripts/test --long``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from archive.digests import write_record
from archive.inputs import why_stale
from archive.mar import package
from archive.store import SAMPLES, archive_path, release_folder, released_versions
from prove.server import Server
from samples.make import HEALTHY, LESION, STACK
from tests.detector import write_detector_store
from tests.front import Front
from tests.parts import (  # noqa: F401  pytest finds them here
    pytest_collection_modifyitems,
    pytest_configure_node,
    pytest_xdist_make_scheduler,
)
from tests.sharing import shared_folder
from tests.tiny import package_quietly, write_tiny_release

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

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


StartFront = Callable[..., Front]


def _running(store: Path, state: Path, *options: str) -> Iterator[Server]:
    server = Server(store, state, options=options)
    server.start()
    yield server
    server.kill()


LARGE = "1.0"  # five times the weights of the others: 44 s of a core to package


def releases(store: Path, versions: Iterable[str]) -> Path:
    """``store`` with releases that the repository carries, which may only be read."""
    store.mkdir()
    for version in versions:
        release_folder(version, store).symlink_to(release_folder(version))
    return store


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The product: ``scripts/serve`` with the weights the repository carries but for :data:`LARGE`, and with jobs.
    Their archives are those of the checkout where it has them, else made for one engine: to measure which is the
    fastest takes minutes, and is a test of its own with all of them (tests/serving/test_first_start.py)."""
    folder = tmp_path_factory.mktemp("run")
    versions = [version for version in released_versions() if version != LARGE]
    store = releases(folder / "store", versions)
    for version in versions:
        release, here, there = release_folder(version), archive_path(version), archive_path(version, store)
        if why_stale(here, release):
            package(release, there, engine="onnxruntime")
        else:
            shutil.copy(here, there)
            write_record(there)
    yield from _running(store, folder / "state", "--jobs", str(folder / "jobs"))


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny release 1.0 and its archive as ``scripts/package`` makes it, to read; what else tests need
    is made from it without packaging again."""
    from tests.rollout.stage import ARCHIVE, RELEASE

    def make(folder: Path) -> None:
        assert write_tiny_release(folder).name == RELEASE
        package_quietly(folder / RELEASE, folder / ARCHIVE)

    return shared_folder(tmp_path_factory, "packaged", make)


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Path:
    """A model store with one tiny release, 1.0, and its archive."""
    return shutil.copytree(packaged, tmp_path_factory.mktemp("tiny") / "store")


@pytest.fixture(scope="session")
def tiny_server(tmp_path_factory: pytest.TempPathFactory, tiny_store: Path) -> Iterator[Server]:
    """``scripts/serve`` with a tiny network: for what is about the server and not about the answer."""
    yield from _running(tiny_store, tmp_path_factory.mktemp("tiny") / "state")


@pytest.fixture(scope="session")
def detector_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with versions 1.0 (the default) and 2.0 of the network that marks what is bright in FLAIR, and
    their archives, to read."""
    return shared_folder(tmp_path_factory, "detector", write_detector_store)


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory, detector_store: Path) -> Iterator[Server]:
    """A whole BrainSeg whose network marks what is bright in FLAIR; versions 1.0 and 2.0."""
    folder = tmp_path_factory.mktemp("detector")
    yield from _running(shutil.copytree(detector_store, folder / "store"), folder / "state")


@pytest.fixture(scope="session")
def door(detector: Server) -> str:
    """The address of the detector's front door."""
    return detector.door


@pytest.fixture
def start_front(detector: Server) -> Iterator[StartFront]:
    """Starts another front door before the detector's TorchServe; arguments as of ``web.server``."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Front:
            front = Front(detector, arguments)
            stack.callback(front.stop)
            front.start()
            return front

        yield start


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
def playwright_driver() -> Iterator[Playwright]:
    """Playwright's driver: one a process, for a second would find the loop of the first and refuse."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver
