"""Pairs of frames with known optical flow, for training the flow network.

A camera moves over one photograph and up to three pieces of others move over it, each by equation
(1) of ``motion``; a pixel's flow is that of the topmost piece on it. What a piece uncovers has no
partner in the other frame, as in real video.
"""

import numpy as np

from uav_jax.data.clips import Album
from uav_jax.data.motion import CameraPath, random_path

STRENGTH = 3.0
"""Times the motion of training clips: up to 12 photo pixels a frame."""

PIECES = 3
"""At most, in front of the background."""


def _inside(positions: np.ndarray, middle: np.ndarray, axes: np.ndarray, angle: float):
    """Whether places of the photograph lie in an ellipse."""
    x, y = np.moveaxis(positions - middle, -1, 0)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return (along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1


def _layer(album: Album, rng: np.random.Generator, crop: int) -> tuple[np.ndarray, CameraPath]:
    """Two frames of a photograph under a moving camera."""
    region = album.region(rng, 2 * crop + 32)
    path = random_path(rng, region, crop, crop, 2, STRENGTH)
    return np.stack([path.frame(region, t, crop, crop) for t in (0, 1)]), path


def moving_pair(album: Album, rng: np.random.Generator, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """(frames uint8 ``(2, crop, crop, 3)``, flow float32 ``(crop, crop, 2)`` from first to second).

    Both frames get the same change of brightness and noise of their own.
    """
    frames, path = _layer(album, rng, crop)
    flow = path.flow(0, crop, crop)
    for _ in range(rng.integers(PIECES + 1)):
        piece, path = _layer(album, rng, crop)
        start = path.positions(0, crop, crop)
        middle = start[tuple(rng.integers(crop, size=2))]
        axes, angle = rng.uniform(0.08, 0.35, 2) * crop * path.scale, rng.uniform(0, np.pi)
        masks = [_inside(path.positions(t, crop, crop), middle, axes, angle) for t in (0, 1)]
        frames = np.where(np.stack(masks)[..., None], piece, frames)
        flow = np.where(masks[0][..., None], path.flow(0, crop, crop), flow)
    noise = rng.normal(0, rng.uniform(0, 8), frames.shape)
    changed = frames * rng.uniform(0.8, 1.1) + noise
    return np.clip(np.round(changed), 0, 255).astype(np.uint8), flow
