"""A real Chromium before a real server. A test fails on errors in the console and requests that leave the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, expect

from archive.store import ROOT
from handler.pipeline import Model
from tests.browser.alone import Alone, pages
from tests.browser.driver import Driver

ARTIFACTS = ROOT / "artifacts"
FLAGS = (
    "--no-sandbox",  # the sandbox does not run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
expect.set_options(timeout=120_000)
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}


def chromium() -> str | None:
    """Debian's Chromium, or the one that BRAINSEG_CHROMIUM names. The one without windows where it is here: the other
    draws its own toolbars all the while, a third of its work."""
    named = os.environ.get("BRAINSEG_CHROMIUM")
    return named or shutil.which("chromium-headless-shell") or shutil.which("chromium")


def launch(playwright: Playwright) -> Browser:
    path = chromium()
    assert path, "no Chromium: apt-get install chromium-headless-shell, or set BRAINSEG_CHROMIUM"
    return playwright.chromium.launch(executable_path=path, args=list(FLAGS))


@pytest.fixture(scope="session")
def browser(playwright_driver: Playwright) -> Iterator[Browser]:
    found = launch(playwright_driver)
    yield found
    found.close()


@pytest.fixture
def open_any(browser: Browser) -> Iterator[Callable[..., Driver]]:
    """Opens the page of the front door at ``url``; ``phone``: a small screen that is touched; ``before`` is called with
    the page before it is loaded. ``refusals``: the status codes that the test provokes, which Chromium writes to the
    console by itself, or other marks of such a line."""
    contexts, errors = [], []

    def open_one(
        url: str,
        phone: bool = False,
        refusals: tuple[int | str, ...] = (),
        before: Callable[[Page], None] | None = None,
    ) -> Driver:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP, is_mobile=phone, has_touch=phone, accept_downloads=True,
            reduced_motion="reduce",  # what turns while one waits is drawn sixty times a second
        )  # fmt: skip
        contexts.append(context)
        page: Page = context.new_page()
        page.set_default_timeout(120_000)

        def heard(message: ConsoleMessage) -> None:
            expected = [code if isinstance(code, str) else f"status of {code}" for code in refusals]
            expected.append("GL Driver Message")  # of software rendering
            if message.type in ("error", "warning") and not any(one in message.text for one in expected):
                errors.append(message.text)

        def asked(request: Request) -> None:
            if not request.url.startswith((url, "blob:" + url)):
                errors.append(f"a request left the host: {request.url}")

        page.on("console", heard)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", asked)
        if before:
            before(page)
        page.goto(url)
        return Driver(page, ARTIFACTS)

    yield open_one
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def open_page(open_any: Callable[..., Driver], door: str) -> Callable[..., Driver]:
    """As :func:`open_any`, of the detector's front door unless another is named."""
    return lambda url=door, **options: open_any(url, **options)


@pytest.fixture(scope="session")
def page_files() -> Iterator[str]:
    """The page's files alone, with no TorchServe behind them."""
    with pages() as url:
        yield url


@pytest.fixture
def alone(flair: Model) -> Alone:
    """What answers the page's requests in this process."""
    return Alone(flair)


@pytest.fixture
def open_alone(open_any: Callable[..., Driver], page_files: str, alone: Alone) -> Callable[..., Driver]:
    """The page, answered by ``alone``; arguments as of :func:`open_any`."""
    return lambda **options: open_any(page_files, before=alone.listen, **options)


@pytest.fixture(scope="session")
def page_tool(browser: Browser, page_files: str) -> Iterator[Driver]:
    """One page for calls into its modules, which change nothing on it."""
    page = browser.new_page()
    page.goto(f"{page_files}/livez")
    yield Driver(page, ARTIFACTS)
    page.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from its npm package; kept in the git-ignored folder ``artifacts``."""
    place = ARTIFACTS / "npm"
    script = place / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        if not shutil.which("npm"):
            assert not os.environ.get("CI"), "npm is missing: apt-get install npm"
            pytest.skip("npm is missing: apt-get install npm")
        place.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--prefix",
            str(place),
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "axe-core@4",
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    return Path(script).read_text(encoding="utf-8")
