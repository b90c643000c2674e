"""What a person does on the page, and what they see: pixels of the canvases as arrays."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

# The drop event of a file as a browser makes it; Playwright cannot drag from outside the browser.
DROP = """(files) => {
  const data = new DataTransfer();
  for (const [text, name] of files) {
    data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
  }
  const drop = document.getElementById("drop");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    drop.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
}"""
PIXELS = """(id) => {
  const canvas = document.getElementById(id);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return [canvas.width, canvas.height, btoa(text)];
}"""
FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclass(frozen=True)
class Driver:
    """A page and a hand on it."""

    page: Page
    artifacts: Path

    def drop(self, data: bytes, name: str = "scan.png") -> None:
        self.drop_all({name: data})

    def drop_all(self, files: Mapping[str, bytes]) -> None:
        """Several files at once, by name."""
        self.page.evaluate(DROP, [[base64.b64encode(data).decode(), name] for name, data in files.items()])

    def show(self, data: bytes, name: str = "scan.png") -> None:
        """Drops a scan and waits for its finding."""
        result = self.page.locator("#result")
        shown = int(result.get_attribute("data-shown") or 0)
        self.drop(data, name)
        expect(result).to_have_attribute("data-shown", str(shown + 1), timeout=120_000)
        self.settle()

    def settle(self) -> None:
        """Waits until nothing is under way and what was to be drawn is drawn."""
        self.rest(250)  # the page waits for rest before it measures all slices
        expect(self.page.locator("#progress")).to_be_hidden(timeout=120_000)
        self.page.evaluate(FRAME)

    def rest(self, milliseconds: int) -> None:
        """Waits by the page's own clock: however busy the machine, its timers that were due earlier have run."""
        self.page.evaluate("(time) => new Promise((done) => setTimeout(done, time))", milliseconds)

    def verdict(self) -> str:
        return self.page.inner_text("#verdict")

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def slide(self, name: str, value: float) -> None:
        """Moves a slider, as input events do it."""
        self.page.locator(f"#{name}").fill(str(value))
        self.page.evaluate(FRAME)

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """RGB (h, w, 3) of a canvas."""
        width, height, text = self.page.evaluate(PIXELS, name)
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3]

    def mask(self) -> NDArray[np.bool_]:
        return self.pixels("mask")[..., 0] > 0

    def download(self, button: str) -> tuple[str, bytes]:
        """The suggested name and the bytes of what ``button`` gives."""
        with self.page.expect_download() as caught:
            self.page.click(f"#{button}")
        return caught.value.suggested_filename, Path(caught.value.path()).read_bytes()

    def call(self, module: str, expression: str, *arguments: Any) -> Any:
        """``expression`` with ``m``, a module of the page, and ``a``, the arguments."""
        script = f"async (a) => {{ const m = await import('/static/{module}.js'); return {expression}; }}"
        return self.page.evaluate(script, list(arguments))

    def picture(self, name: str, whole: bool = True) -> None:
        """A screenshot for people to look at."""
        self.artifacts.mkdir(exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=self.artifacts / f"{name}.png", full_page=whole)
