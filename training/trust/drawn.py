"""Pictures that show no head, drawn from a seed: noise, shapes, text, screenshots. Float32 (256, 256, 3), 0..1."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from samples.phantom import draw

Array = NDArray[np.float32]
Random = np.random.Generator
SIDE = 256
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;()-+%/"


def _unit(values: NDArray[np.floating]) -> Array:
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-9)).astype(np.float32)


def _read(picture: Image.Image) -> Array:
    return np.asarray(picture, np.float32) / np.float32(255)


def _ink(random: Random) -> tuple[int, int, int]:
    return cast(tuple[int, int, int], tuple(int(v) for v in random.integers(0, 256, 3)))


def noise(random: Random) -> Array:
    """Of some grain, grey or coloured, uniform or normal, dense or sparse."""
    shape = (SIDE, SIDE, 3 if random.random() < 0.5 else 1)
    values = random.random(shape) if random.random() < 0.5 else random.standard_normal(shape)
    grain = float(random.choice((0, 0, 1, 3, 8, 20)))
    drawn = _unit(ndimage.gaussian_filter(values, (grain, grain, 0)))
    return np.repeat(drawn, 4 - drawn.shape[2], axis=2)[..., :3] * np.float32(random.uniform(0.3, 1))


def pepper(random: Random) -> Array:
    """Black and white dots."""
    drawn = (random.random((SIDE, SIDE, 1)) < random.uniform(0.02, 0.5)).astype(np.float32)
    return np.repeat(drawn, 3, axis=2)


def stripes(random: Random) -> Array:
    """Waves, and ramps where they are long."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    angle, times = random.uniform(0, np.pi), random.uniform(0.3, 30)
    wave = np.sin(2 * np.pi * times * (rows * np.cos(angle) + columns * np.sin(angle)))
    return (_unit(wave)[..., None] * random.uniform(0.3, 1, 3)).astype(np.float32)


def shapes(random: Random) -> Array:
    """Ellipses, boxes and lines on some ground."""
    picture = Image.new("RGB", (SIDE, SIDE), _ink(random) if random.random() < 0.6 else (0, 0, 0))
    pen = ImageDraw.Draw(picture)
    grey = random.random() < 0.3
    for _ in range(int(random.integers(1, 12))):
        x, y = random.integers(-40, SIDE, 2)
        w, h = random.integers(10, 220, 2)
        ink = _ink(random)
        ink = (ink[0],) * 3 if grey else ink
        kind = int(random.integers(3))
        if kind == 0:
            pen.ellipse((int(x), int(y), int(x + w), int(y + h)), fill=ink)
        elif kind == 1:
            pen.rectangle((int(x), int(y), int(x + w), int(y + h)), fill=ink)
        else:
            pen.line((int(x), int(y), int(x + w), int(y + h)), fill=ink, width=int(random.integers(1, 20)))
    return _read(picture)


def text(random: Random) -> Array:
    """Lines of letters, black on white or the other way round."""
    dark = random.random() < 0.4
    picture = Image.new("RGB", (SIDE, SIDE), (0, 0, 0) if dark else (255, 255, 255))
    pen, size = ImageDraw.Draw(picture), int(random.integers(8, 40))
    font = ImageFont.load_default(size)
    for top in range(int(random.integers(0, 20)), SIDE, int(size * random.uniform(1.1, 2))):
        line = "".join(random.choice(list(LETTERS), int(random.integers(3, 60))))
        pen.text((int(random.integers(0, 30)), top), line, font=font, fill=(230, 230, 230) if dark else (20, 20, 20))
    return _read(picture)


def screenshot(random: Random) -> Array:
    """A window with a bar, columns of text and boxes; at times the corner of one."""
    dark = random.random() < 0.5
    ground, ink = ((24, 26, 32), (215, 215, 220)) if dark else ((245, 246, 248), (40, 42, 50))
    picture = Image.new("RGB", (640, 480), ground)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 640, int(random.integers(20, 60))), fill=_ink(random))
    for _ in range(int(random.integers(0, 7))):
        x, y = random.integers(0, 600), random.integers(60, 440)
        w, h = random.integers(30, 300), random.integers(20, 160)
        pen.rounded_rectangle((int(x), int(y), int(x + w), int(y + h)), 6, fill=_ink(random), outline=ink)
    font = ImageFont.load_default(int(random.integers(9, 18)))
    for top in range(70, 470, int(random.integers(16, 50))):
        line = "".join(random.choice(list(LETTERS), int(random.integers(5, 80))))
        pen.text((int(random.integers(5, 300)), top), line, font=font, fill=ink)
    if random.random() < 0.5:
        left, top = int(random.integers(0, 384)), int(random.integers(0, 224))
        picture = picture.crop((left, top, left + 256, top + 256))
    return _read(picture.resize((SIDE, SIDE)))


def phantom(random: Random) -> Array:
    """A drawn head, as the samples are: of the kind that is accepted."""
    size = int(random.choice((64, 96, 128, 256)))
    radius = float(random.choice((0.0, random.uniform(0.04, 0.14))))
    drawn = draw(int(random.integers(0, 2**31)), radius, size).image
    return _read(Image.fromarray(drawn).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
