"""More variety from few photographs: reduced, turned, of other contrast, drawn upon.

Photographs of nature alone have few straight edges and little contrast; buildings, letters and
printed things are drawn on top of some: bars in rows, polygons, lines and text.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SUPERSAMPLING = 3
"""Drawn at so many times the size and reduced, which smooths the edges."""

_LETTERS = "ABCDEFGHIKLMNOPRSTUVWXYZabcdefghiklmnoprstuvwxyz0123456789&%?!"
_TURNS = (None, *Image.Transpose)


@dataclass(frozen=True, kw_only=True, slots=True)
class VarietyConfig:
    """How far parts of photographs are changed before a camera moves over them."""

    reduction: float = 2.5  # photos are reduced by 1 to this factor, where they are large enough
    contrast: tuple[float, float] = (0.8, 1.7)  # factor around the part's mean, for every other one
    tint: float = 0.12  # of every channel's gain, up or down
    drawing_probability: float = 0.4
    detailed_probability: float = 0.75  # of taking the more detailed of two parts


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Mostly far from grey or near an end of the range."""
    base = rng.choice((rng.uniform(0, 60), rng.uniform(60, 190), rng.uniform(190, 255)))
    values = np.clip(base + rng.normal(0, rng.choice((6, 50)), 3), 0, 255)
    return int(values[0]), int(values[1]), int(values[2])


def _bars(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    """Rows of bars, whole or cut into windows, under a random affine map."""
    origin, angle = rng.uniform(-0.2, 1.0, 2) * side, rng.uniform(0, np.pi)
    skew = angle + np.pi / 2 + rng.uniform(-0.5, 0.5)
    down, across = (np.array([np.cos(a), np.sin(a)]) for a in (angle, skew))
    pitch = SUPERSAMPLING * rng.uniform(5, 26)
    width, height = rng.uniform(0.3, 1.2) * side, pitch * rng.uniform(0.25, 0.7)
    gap = rng.choice((0.0, rng.uniform(0.1, 0.4)))
    columns = 1 if not gap else max(2, int(width / (pitch * rng.uniform(0.6, 2.5))))
    colours = [_colour(rng) for _ in range(3)]
    rows = int(rng.uniform(3, 16))
    corners = [origin, origin + down * rows * pitch]
    corners += [corner + across * width for corner in corners[::-1]]
    draw.polygon([tuple(c) for c in corners], fill=_colour(rng))
    for row in range(rows):
        for column in range(columns):
            left = origin + down * row * pitch + across * (column + gap / 2) * width / columns
            right = left + across * width * (1 - gap) / columns
            corners = (left, right, right + down * height, left + down * height)
            draw.polygon([tuple(c) for c in corners], fill=colours[rng.integers(3)])


def _polygon(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    middle, count = rng.uniform(0, side, 2), rng.integers(3, 8)
    angles = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = rng.uniform(0.05, 0.5, count) * side
    points = middle + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    outline = _colour(rng) if rng.random() < 0.5 else None
    width = int(SUPERSAMPLING * rng.uniform(1, 4))
    draw.polygon([tuple(p) for p in points], fill=_colour(rng), outline=outline, width=width)


def _lines(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    for _ in range(rng.integers(1, 6)):
        points = [tuple(p) for p in rng.uniform(0, side, (rng.integers(2, 5), 2))]
        width = int(SUPERSAMPLING * rng.uniform(0.7, 5))
        draw.line(points, fill=_colour(rng), width=width, joint="curve")


def _text(draw: ImageDraw.ImageDraw, rng: np.random.Generator, side: int) -> None:
    font = ImageFont.load_default(int(SUPERSAMPLING * rng.uniform(9, 44)))
    letters = rng.choice(list(_LETTERS + "  "), (rng.integers(1, 6), rng.integers(4, 16)))
    at = rng.uniform(-0.1, 0.7, 2) * side
    lines = "\n".join("".join(line) for line in letters)
    draw.multiline_text((at[0], at[1]), lines, fill=_colour(rng), font=font)


def drawn_upon(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The RGB image with one to four things drawn on it, some turned, edges smooth."""
    side = SUPERSAMPLING * max(image.size)
    for _ in range(rng.integers(1, 5)):
        layer = Image.new("RGBA", (side, side))
        thing = (_bars, _polygon, _lines, _text)[rng.integers(4)]
        thing(ImageDraw.Draw(layer), rng, side)
        if thing is _text:
            layer = layer.rotate(rng.normal(0, 25), Image.Resampling.BILINEAR)
        small = layer.reduce(SUPERSAMPLING).crop((0, 0, *image.size))
        image = Image.alpha_composite(image.convert("RGBA"), small)
    return image.convert("RGB")


def _graded(image: Image.Image, config: VarietyConfig, rng: np.random.Generator) -> Image.Image:
    """Other contrast around the mean, other gains of the channels."""
    pixels = np.asarray(image, np.float32)
    gain = rng.uniform(*config.contrast) * (1 + rng.uniform(-config.tint, config.tint, 3))
    level = pixels.mean((0, 1))
    return Image.fromarray(
        np.clip(np.rint(level + (pixels - level) * gain), 0, 255).astype(np.uint8)
    )


def varied(image: Image.Image, config: VarietyConfig, rng: np.random.Generator) -> Image.Image:
    """The RGB image, turned or mirrored at random, half of them graded, some drawn upon."""
    turn = _TURNS[rng.integers(len(_TURNS))]
    if turn is not None:
        image = image.transpose(turn)
    if rng.random() < config.drawing_probability:
        image = drawn_upon(image, rng)
    return _graded(image, config, rng) if rng.random() < 0.5 else image
