"""Clips with known camera motion from still photographs.

A virtual camera pans, zooms and turns smoothly over a photo; frame t samples the photo at

    p(q) = centre + t * velocity + zoom^t * R(t * angle) (q - size / 2)                       (1)

with bicubic interpolation, in pixels of the photo.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraPath:
    """Equation (1). Velocity in photo pixels a frame, angle in radians a frame, zoom a factor."""

    centre: tuple[float, float]  # x, y of the first frame's middle in the photo
    velocity: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    zoom: float = 1.0
    scale: float = 1.0  # photo pixels per frame pixel at t = 0

    def _matrix(self, t: float) -> np.ndarray:
        """zoom^t R(t * angle), times the scale."""
        scale, angle = self.scale * self.zoom**t, t * self.angle
        return scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def positions(self, t: float, width: int, height: int) -> np.ndarray:
        """p(q) of every pixel's middle in frame ``t``, ``(height, width, 2)`` as (x, y)."""
        q = pixel_middles(width, height) - (width / 2, height / 2)
        return q @ self._matrix(t).T + np.add(self.centre, np.multiply(t, self.velocity))

    def flow(self, t: float, width: int, height: int) -> np.ndarray:
        """Optical flow from frame ``t`` to frame ``t + 1``, ``(height, width, 2)`` in pixels."""
        middle = np.add(self.centre, np.multiply(t + 1, self.velocity))
        q = self.positions(t, width, height) - middle
        there = q @ np.linalg.inv(self._matrix(t + 1)).T + (width / 2, height / 2)
        return (there - pixel_middles(width, height)).astype(np.float32)

    def motion(self, t: float, width: int, height: int) -> np.ndarray:
        """The affine map ``(2, 3)`` from positions (x, y, 1) in frame ``t`` to those in ``t + 1``.

        Positions are in pixels, those of pixels' middles end in .5.
        """
        middle = np.array([width, height]) / 2
        back = np.linalg.inv(self._matrix(t + 1))
        linear = back @ self._matrix(t)
        offset = middle - linear @ middle - back @ np.asarray(self.velocity)
        return np.concatenate([linear, offset[:, None]], 1).astype(np.float32)

    def frame(self, photo: Image.Image, t: float, width: int, height: int) -> np.ndarray:
        """Frame ``t``, uint8 ``(height, width, 3)``."""
        scale = self.scale * self.zoom**t
        a, b = scale * np.cos(t * self.angle), scale * np.sin(t * self.angle)
        x = self.centre[0] + t * self.velocity[0]
        y = self.centre[1] + t * self.velocity[1]
        offset_x = x - a * width / 2 + b * height / 2
        offset_y = y - b * width / 2 - a * height / 2
        return np.asarray(
            photo.transform(
                (width, height),
                Image.Transform.AFFINE,
                (a, -b, offset_x, b, a, offset_y),
                Image.Resampling.BICUBIC,
            )
        )


def pixel_middles(width: int, height: int) -> np.ndarray:
    """(x, y) of every pixel's middle, ``(height, width, 2)``."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)


def random_path(
    rng: np.random.Generator,
    photo: Image.Image,
    width: int,
    height: int,
    frames: int,
    strength: float = 1.0,
) -> CameraPath:
    """A path whose every frame lies inside the photo (speed falls until it does).

    ``strength`` 1 moves up to 4 photo pixels a frame and turns and zooms by 0.4 % or so.
    """
    speed, turn = rng.uniform(0, 4.0 * strength), rng.normal(0, 0.004 * strength)
    direction, zoom = rng.uniform(0, 2 * np.pi), 1 + rng.normal(0, 0.004 * strength)
    scale = float(rng.uniform(0.8, 1.3))
    scale = min(scale, 0.95 * photo.width / width, 0.95 * photo.height / height)
    start = rng.uniform(0, 1, 2)
    for shrink in (1.0, 0.5, 0.25, 0.0):
        step = (frames - 1) * shrink
        reach = scale * max(zoom**step, 1.0) * (1 + abs(turn) * step)
        velocity = speed * shrink * np.array([np.cos(direction), np.sin(direction)])
        low = np.array([width, height]) * reach / 2 + np.maximum(-velocity * (frames - 1), 0) + 2
        high = np.array([photo.width, photo.height]) - 2
        high = high - np.array([width, height]) * reach / 2
        high = high - np.maximum(velocity * (frames - 1), 0)
        if (low < high).all():
            centre = low + start * (high - low)
            return CameraPath(
                centre=(float(centre[0]), float(centre[1])),
                velocity=(float(velocity[0]), float(velocity[1])),
                angle=turn * shrink,
                zoom=float(zoom**shrink),
                scale=scale,
            )
    return CameraPath(centre=(photo.width / 2, photo.height / 2), scale=scale)


def camera_clip(photo: Image.Image, path: CameraPath, width: int, height: int, frames: int):
    """The clip of a path, uint8 ``(frames, height, width, 3)``."""
    return np.stack([path.frame(photo, t, width, height) for t in range(frames)])
