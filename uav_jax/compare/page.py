"""The page: frames with a slider, zoomed crops, a slice over time, the settings. One file."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from uav_jax.runtime.html_policy import page_policy
from uav_jax.video.containers import shown

QUALITY = 90
WIDEST = 1600
"""Pixels; wider frames are reduced for the page."""

CROP = 96
"""Pixels a side of the zoomed crops."""


def data_uri(image: Image.Image) -> str:
    """A picture as text that a page can hold."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def busiest(frame: UInt8[np.ndarray, "H W 3"], side: int) -> tuple[int, int]:
    """Top and left of the square with the strongest gradients: where there is most to see."""
    grey = frame.astype(np.float32).mean(-1)
    energy = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    height, width = energy.shape
    side = min(side, height, width)
    sums = np.pad(energy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    area = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(area.argmax()), area.shape)
    return int(top), int(left)


def _crop(frame: np.ndarray, top: int, left: int) -> str:
    part = Image.fromarray(frame[top : top + CROP, left : left + CROP])
    return data_uri(part.resize((4 * part.width, 4 * part.height), Image.Resampling.NEAREST))


def _shown(frame: np.ndarray) -> str:
    image = Image.fromarray(frame)
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)))
    return data_uri(image)


def _figure(number: int, before: np.ndarray, after: np.ndarray) -> str:
    top, left = busiest(after, CROP)
    crops = "".join(
        f'<figure><img src="{_crop(frame, top, left)}" alt="{name}, enlarged 4 times">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, frame in (("input, bicubic", before), ("result", after))
    )
    return (
        f"<h2>Frame {number + 1}</h2>"
        f'<div class="pair" style="--at:50%"><img src="{_shown(before)}" alt="input, bicubic">'
        f'<img class="after" src="{_shown(after)}" alt="result"><i></i></div>'
        f'<label>before / after <input type="range" min="0" max="100" value="50" '
        f'aria-label="how much of the input of frame {number + 1} is shown"></label>'
        f'<div class="crops">{crops}</div>'
    )


def _escaped(text: str) -> str:
    """Text of a user's for HTML; what cannot be printed is spelled out."""
    return html.escape(shown(text))


def render(
    title: str,
    pairs: Mapping[int, tuple[np.ndarray, np.ndarray]],
    rows: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    settings: Mapping[str, object],
) -> str:
    """The page of some frames ``{number: (before, after)}``.

    ``rows`` are the middle rows of all frames before and after: the slice over time.
    """
    slices = "".join(
        f'<figure><img src="{_shown(np.repeat(np.stack(part), 4, axis=0))}" '
        f'alt="one row over time, {name}"><figcaption>{name}</figcaption></figure>'
        for name, part in zip(("input, bicubic", "result"), rows, strict=True)
    )
    table = "".join(
        f"<tr><th>{_escaped(name)}</th><td>{_escaped(str(value))}</td></tr>"
        for name, value in settings.items()
    )
    folder = files("uav_jax.compare")
    template = Template(folder.joinpath("page.html").read_text(encoding="utf-8"))
    script = folder.joinpath("page.js").read_text(encoding="utf-8")
    return template.substitute(
        title=_escaped(title),
        script=script,
        policy=page_policy(script),
        figures="".join(_figure(n, *pair) for n, pair in pairs.items()),
        slices=slices,
        table=table,
    )
