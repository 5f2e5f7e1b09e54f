"""The plan of a run, made before anything is computed: tiles, segments, rows a call, memory, time.

Memory is that of the largest call: activations grow with the pixels that a network sees at once.
How many bytes a pixel takes was measured from the compiler's own figures on CPU
(``benchmarks/memory.py``) and is linear in the width of the first level.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from uav_jax.diffusion.sampler import Places
from uav_jax.diffusion.windows import WINDOW
from uav_jax.layers.resample import resize_memory
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.pipeline.segments import Segment, plan_segments
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.tiling import AUTOMATIC_FROM, LONGEST_UNTILED, Tile, blend_weights, plan_tiles
from uav_jax.shapes import UPSCALE

UNET_VALUES, DECODER_VALUES, RESIDUAL_DECODER_VALUES = 13.0, 8.5, 4.2
"""Float32 values held at once per pixel (of the level) and channel of the first level."""

TRUNK_DECODER_VALUES = 0.7
"""The same of a trunk decoder per pixel of its result and channel of its trunk."""

SMALLEST_TILE = 32
"""Low-resolution pixels a side, context included, below which a tile is not halved."""

SEGMENT = 48
"""Frames of a segment; of larger frames fewer, so that little is lost when a run is killed."""

LARGE_FRAME = 256 * 256
"""Low-resolution pixels from which segments are half as long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a clip of ``frames`` frames of ``height`` x ``width`` low-resolution pixels is done."""

    height: int
    width: int
    segments: tuple[Segment, ...]
    tile: int  # low-resolution pixels a side, without context
    context: int
    rows_at_once: int  # windows of tiles in a call of the U-Net, all devices together
    hard: bool = False  # tiles meet in edges

    @property
    def tiles(self) -> list[Tile]:
        """Where the tiles lie."""
        return plan_tiles(self.height, self.width, self.tile, self.context)

    def places(self) -> Places:
        """The tiles for the sampler."""
        tiles = self.tiles
        shares = blend_weights(tiles, self.height, self.width, hard=self.hard)
        return Places(tuple((t.top, t.left) for t in tiles), np.stack(shares))

    def enlarged_shares(self) -> np.ndarray:
        """Shares of every tile's pixels in the result, ``(N, 4h, 4w, 1)``."""
        shares = blend_weights(self.tiles, self.height, self.width, UPSCALE, hard=self.hard)
        return np.stack(shares)

    def halved(self, devices: int = 1) -> "Plan":
        """Needs about half the memory: fewer rows a call, else smaller tiles.

        ``MemoryError`` where nothing smaller is left.
        """
        if self.rows_at_once > devices:
            return replace(self, rows_at_once=max(devices, self.rows_at_once // 2))
        side = max(self.tiles[0].height, self.tiles[0].width)
        if side // 2 < SMALLEST_TILE:
            raise MemoryError(
                f"a tile of {side} x {side} pixels does not fit into the device's memory and "
                f"cannot be halved below {SMALLEST_TILE}"
            )
        context = min(self.context, side // 8)
        return replace(self, tile=side // 2 - 2 * context, context=context)

    def calls(self, steps: int) -> int:
        """Windows of tiles that the U-Net sees in all, one prompt each."""
        return steps * len(self.tiles) * sum(len(s.windows.starts) for s in self.segments)

    def memory(self, unet: UNetConfig, vae: VAEConfig, itemsize: int) -> int:
        """Bytes of activations of the larger of a U-Net's call and a decoder's, all devices."""
        tile = self.tiles[0]
        area = tile.height * tile.width
        frames = min(WINDOW, max(s.frames for s in self.segments))
        rows = self.rows_at_once * frames * area
        denoising = UNET_VALUES * unet.block_out_channels[0] * rows * itemsize
        pixels = vae.group * area * UPSCALE**2
        values = RESIDUAL_DECODER_VALUES if vae.residual else DECODER_VALUES
        values = values * vae.block_out_channels[0]
        if vae.trunk:
            values = TRUNK_DECODER_VALUES * vae.trunk.width
        decoding = values * pixels * 4
        resizing = sum(resize_memory(n, UPSCALE * n) for n in (tile.height, tile.width))
        return int(max(denoising, decoding, resizing))


def segment_length(height: int, width: int) -> int:
    """Frames of a segment for a frame size."""
    return SEGMENT if height * width < LARGE_FRAME else SEGMENT // 2


def make_plan(
    frames: int,
    height: int,
    width: int,
    settings: UpscaleSettings,
    *,
    unet: UNetConfig,
    vae: VAEConfig,
    itemsize: int,
    memory: int,
    devices: int = 1,
    cuts: Sequence[int] = (),
) -> Plan:
    """The largest tiles and most rows that fit into ``memory`` bytes a device.

    The plan's height and width include the settings' edge. ``MemoryError`` where even the smallest
    tile does not fit.
    """
    height, width = height + 2 * settings.edge, width + 2 * settings.edge
    tiled = settings.perform_tile
    if tiled is None:
        tiled = height * width >= AUTOMATIC_FROM or max(height, width) > LONGEST_UNTILED
    margin = int(settings.inference_steps > 1 or settings.decode_overlap > 0)
    plan = Plan(
        height=height,
        width=width,
        segments=tuple(plan_segments(frames, segment_length(height, width), cuts, margin)),
        tile=settings.tile_size if tiled else max(height, width),
        context=settings.tile_context,
        rows_at_once=2 * devices,
        hard=settings.tiling == "published",
    )
    while plan.memory(unet, vae, itemsize) > memory * devices:
        plan = plan.halved(devices)
    return plan
