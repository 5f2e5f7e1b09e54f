"""The whole job: low-resolution frames and a prompt in, frames four times as large out.

condition <- noise the frames to level tau, encode the prompts                           (section 5)
latents   <- denoise, tile by tile, in temporal windows, propagating along flow
frames    <- decode in groups, fix colours
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8

from uav_jax.diffusion.ddim import ddim_steps
from uav_jax.diffusion.sampler import Conditioning, sample
from uav_jax.diffusion.schedule import add_noise, alphas_cumprod
from uav_jax.diffusion.windows import plan_windows
from uav_jax.layers.resample import area_matrix, resize
from uav_jax.motion.flow import ClipFlow, clip_flow
from uav_jax.pipeline.color import fix_color
from uav_jax.pipeline.decode import decode_clip
from uav_jax.pipeline.noise import Noise, noise_of
from uav_jax.pipeline.prompt import encode_prompts, full_prompt, load_tokenizer
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.tiling import AUTOMATIC_FROM, Tile, blend_weights, plan_tiles
from uav_jax.shapes import LATENT_CHANNELS, UPSCALE
from uav_jax.weights.model_files import ModelFiles, find_model

SEGMENT, OVERLAP = 56, 4
"""Frames denoised together, and what a segment sees of its neighbours; memory is bounded by it."""

LARGE = 1280 * 1280
"""Area from which an input is taken for a finished large video and reduced first."""

Progress = Callable[[str, int, int], None]
"""``progress(phase, done, total)``."""


def _silent(*_) -> None:
    pass


_clip_flow = nnx.jit(clip_flow)


class Upscaler:
    """A loaded model. ``from_pretrained`` makes one."""

    def __init__(self, files: ModelFiles, *, dtype: DTypeLike = jnp.float32):
        half: dict[str, Any] = dict(dtype=dtype, param_dtype=dtype)
        self._files = files
        self.directory, self.dtype = files.directory, jnp.dtype(dtype).name
        self._full = dict(dtype=jnp.float32, param_dtype=jnp.float32)
        self.defaults = UpscaleSettings(**_from_json(files.defaults()))
        self.tokenizer = load_tokenizer(files.directory / "tokenizer")
        self.text_encoder = files.load("text_encoder", **half)
        self.unet = files.load("unet", **half)
        self.schedule = files.schedule("scheduler")
        self.low_res_schedule = files.schedule("low_res_scheduler")
        self._optional: dict[str, Any] = {}

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "default", *, dtype: DTypeLike = jnp.float32
    ) -> "Upscaler":
        """``default``, a directory written by convert.py, or a released directory.

        ``dtype`` is that of text encoder and U-Net; autoencoder and flow run in float32.
        ``ValueError`` for anything else, and for checkpoints that do not fit.
        """
        return cls(find_model(name), dtype=dtype)

    def _load(self, name: str):
        """A network that not every run needs, kept once loaded."""
        if name not in self._optional:
            if not self._files.has(name):
                raise ValueError(f"{self._files.directory} has no {name}, which this run needs")
            self._optional[name] = self._files.load(name, **self._full)
        return self._optional[name]

    def check(self, settings: UpscaleSettings) -> None:
        """``ValueError`` where this model cannot do what the settings ask."""
        highest = self.unet.config.max_noise_level
        if settings.noise_level > highest:
            raise ValueError(f"noise level {settings.noise_level} is outside 0..{highest}")
        if settings.propagation_steps and not self._files.has("propagator"):
            raise ValueError(
                f"propagation steps were given, but the model {self._files.directory.name!r} has "
                "no flow network; leave -p out or use a model with a propagator"
            )

    def upscale(
        self,
        frames: UInt8[np.ndarray, "T H W 3"],
        settings: UpscaleSettings | None = None,
        *,
        progress: Progress = _silent,
    ) -> Iterator[Float[np.ndarray, "N H W 3"]]:
        """Upscaled frames in [-1, 1], in groups of up to three, in order.

        ``frames`` are uint8 RGB. The clip is denoised segment by segment; noise depends only on
        (seed, frame, position). ``progress`` is told of flow, denoising and decoding.
        """
        settings = settings or self.defaults
        self.check(settings)
        if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise ValueError(
                f"frames of shape {frames.shape}; expected (T, H, W, 3), none of them 0"
            )
        text = self._encode_text(settings)
        vae = self._load("vae_video" if settings.use_video_vae else "vae_3d")
        tiles = self.plan(frames.shape[1], frames.shape[2], settings)
        draw = noise_of(settings, frames.shape)
        for first, last in segments(len(frames)):
            start, stop = max(0, first - OVERLAP), min(len(frames), last + OVERLAP)
            low_res = frames[start:stop].astype(np.float32) / 127.5 - 1
            latents = self._denoise(low_res, start, draw, text, tiles, settings, progress)
            kept = slice(first - start, last - start)
            done = 0
            for group in decode_clip(
                vae, latents[kept], low_res[kept], tiles, settings.low_res_weight
            ):
                condition = low_res[kept][done : done + len(group)]
                yield _fix_color(group, condition, settings.color_fix)
                done += len(group)
                progress("decoding", first + done, len(frames))

    def plan(self, height: int, width: int, settings: UpscaleSettings) -> list[Tile]:
        """The tiles of a frame size: the whole frame, unless it is large or tiles are asked for."""
        tiled = settings.perform_tile
        if tiled is None:
            tiled = height * width >= AUTOMATIC_FROM
        size = settings.tile_size if tiled else max(height, width)
        return plan_tiles(height, width, size, settings.tile_context)

    def _encode_text(self, settings: UpscaleSettings) -> Float[Array, "P 77 D"]:
        prompts = [full_prompt(settings.prompt, settings.a_prompt)]
        if settings.guidance_scale > 1:
            prompts.append(settings.n_prompt)
        return encode_prompts(self.tokenizer, self.text_encoder, prompts)

    def _flow(self, low_res: np.ndarray, settings: UpscaleSettings, progress) -> ClipFlow | None:
        if not settings.propagation_steps or len(low_res) < 2:
            return None
        progress("flow", 0, 1)
        flow = _clip_flow(self._load("propagator"), jnp.asarray(low_res)[None])
        progress("flow", 1, 1)
        return flow

    def _denoise(
        self,
        low_res: np.ndarray,
        first_frame: int,
        draw: Noise,
        text: Array,
        tiles: list[Tile],
        settings: UpscaleSettings,
        progress: Progress,
    ) -> Float[np.ndarray, "T H W 4"]:
        """Latents of a segment, tiles blended."""
        frames, height, width, _ = low_res.shape
        noise_low, noise = draw(first_frame, frames)
        level = jnp.asarray(settings.noise_level)
        noised = np.asarray(
            add_noise(
                alphas_cumprod(self.low_res_schedule),
                jnp.asarray(low_res)[None],
                jnp.asarray(noise_low)[None],
                level[None],
            )[0]
        )
        flow = self._flow(low_res, settings, progress)
        shares = blend_weights(tiles, height, width)
        latents = np.zeros((frames, height, width, LATENT_CHANNELS), np.float32)
        for number, (tile, share) in enumerate(zip(tiles, shares, strict=True)):
            rows, columns = tile.slices()
            progress("denoising", number, len(tiles))
            part = sample(
                self.unet,
                jnp.asarray(noise[None, :, rows, columns]),
                Conditioning(
                    jnp.asarray(noised[None, :, rows, columns]),
                    level,
                    text,
                    jnp.float32(settings.guidance_scale),
                ),
                ddim_steps(self.schedule, settings.inference_steps),
                plan_windows(frames),
                propagation_steps=settings.propagation_steps if flow else (),
                flow=flow and ClipFlow(*(f[:, :, rows, columns] for f in flow)),
            )
            latents[:, rows, columns] += share * np.asarray(part[0])
        progress("denoising", len(tiles), len(tiles))
        return latents


def segments(frames: int) -> list[tuple[int, int]]:
    """(first, last + 1) of nearly equal stretches of at most ``SEGMENT`` frames, multiples of 3.

    A multiple of the decode group keeps groups the same whether or not a clip is cut.
    """
    if frames <= SEGMENT + OVERLAP:
        return [(0, frames)]
    length = SEGMENT // 3 * 3
    return [(start, min(start + length, frames)) for start in range(0, frames, length)]


_fix_color_jitted = jax.jit(fix_color, static_argnames="method")


def _fix_color(frames: np.ndarray, low_res: np.ndarray, method) -> np.ndarray:
    if method == "none":
        return frames
    return np.asarray(_fix_color_jitted(frames, low_res, method=method))


def _from_json(values: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def to_bytes(frames: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[-1, 1] to 8 bits: clamp, then round (the published code truncates, which darkens)."""
    return np.rint(np.clip(frames * 0.5 + 0.5, 0, 1) * 255).astype(np.uint8)


def reduce_large(
    frames: UInt8[np.ndarray, "T H W 3"],
) -> tuple[UInt8[np.ndarray, "T h w 3"], bool]:
    """Frames of at least 1280 x 1280 pixels reduced 4 times (area average), as published."""
    _, height, width, _ = frames.shape
    if height * width < LARGE:
        return frames, False
    small = [
        resize(jnp.asarray(f, jnp.float32), height // UPSCALE, width // UPSCALE, area_matrix)
        for f in frames
    ]
    return np.stack([np.rint(f).astype(np.uint8) for f in map(np.asarray, small)]), True


def with_overrides(settings: UpscaleSettings, **values) -> UpscaleSettings:
    """``settings`` with every value that is not None replaced."""
    return replace(settings, **{k: v for k, v in values.items() if v is not None})


def output_size(height: int, width: int) -> tuple[int, int]:
    """Size of the result for a low-resolution size."""
    return UPSCALE * height, UPSCALE * width
