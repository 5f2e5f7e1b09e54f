"""The whole job: low-resolution frames and a prompt in, frames four times as large out.

condition <- noise the frames to level tau, encode the prompts                           (section 5)
latents   <- denoise in windows and tiles, propagating along flow
frames    <- decode in groups, fix colours
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jax.typing import DTypeLike
from jaxtyping import Array, Float, UInt8, UInt16

from uav_jax.models.vae.config import VAEConfig
from uav_jax.motion.flow import ClipFlow, clip_flow
from uav_jax.pipeline.devices import Weights, available_memory, make_mesh, place_network
from uav_jax.pipeline.plan import Plan, make_plan
from uav_jax.pipeline.prompt import encode_prompts, full_prompt, load_tokenizer, split_phrases
from uav_jax.pipeline.runner import ClipRunner, Progress
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.shapes import UPSCALE
from uav_jax.weights.model_files import ModelFiles, find_model

MEMORY_SHARE = 0.7
"""Of a device's free memory that a plan may use."""

_clip_flow = nnx.jit(clip_flow)


def _silent(*_) -> None:
    pass


class Upscaler:
    """A loaded model. ``from_pretrained`` makes one."""

    def __init__(
        self,
        files: ModelFiles,
        *,
        dtype: DTypeLike = jnp.float32,
        mesh: Mesh | None = None,
        weights: Weights = "replicated",
    ):
        half: dict[str, Any] = dict(dtype=dtype, param_dtype=dtype)
        self._files = files
        self.mesh = mesh
        self._weights: Weights = weights
        self.directory, self.dtype = files.directory, jnp.dtype(dtype).name
        self._full = dict(dtype=jnp.float32, param_dtype=jnp.float32)
        self.defaults = UpscaleSettings.from_json(files.defaults())
        self.phrases = files.phrases()
        self.tokenizer = load_tokenizer(files.directory / "tokenizer")
        self.text_encoder = files.load("text_encoder", **half)
        self.unet = place_network(files.load("unet", **half), mesh, weights)
        self.schedule = files.schedule("scheduler")
        self.low_res_schedule = files.schedule("low_res_scheduler")
        self._optional: dict[str, Any] = {}

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "default",
        *,
        dtype: DTypeLike = jnp.float32,
        mesh: Mesh | None = None,
        weights: Weights = "replicated",
    ) -> "Upscaler":
        """``default``, a directory written by convert.py, or a released directory.

        ``dtype`` is that of text encoder and U-Net; autoencoder and flow run in float32. ``mesh``
        (``make_mesh()``: all devices) divides the work, ``weights`` "fsdp" the weights too.
        ``ValueError`` for anything else, and for checkpoints that do not fit.
        """
        mesh = make_mesh() if mesh is None else mesh
        return cls(find_model(name), dtype=dtype, mesh=mesh, weights=weights)

    def has(self, name: str) -> bool:
        """Whether the model's directory has this network."""
        return self._files.has(name)

    def network(self, name: str):
        """A network that not every run needs, kept once loaded."""
        if name not in self._optional:
            if not self._files.has(name):
                raise ValueError(f"{self._files.directory} has no {name}, which this run needs")
            loaded = self._files.load(name, **self._full)
            if name.startswith("vae"):
                loaded = place_network(loaded, self.mesh, self._weights)
            self._optional[name] = loaded
        return self._optional[name]

    def check(self, settings: UpscaleSettings) -> None:
        """``ValueError`` where this model cannot do what the settings ask."""
        highest = self.unet.config.max_noise_level
        if settings.noise_level > highest:
            raise ValueError(
                f"noise level {settings.noise_level} is outside 0..{highest}, which the model "
                f"{self._files.directory.name!r} was trained for"
            )
        decoder = "vae_video" if settings.use_video_vae else "vae_3d"
        if not self._files.has(decoder):
            other = "without" if settings.use_video_vae else "with"
            raise ValueError(
                f"the model {self._files.directory.name!r} has no {decoder}; use it {other} "
                "--use_video_vae (use_video_vae in Python)"
            )
        if settings.propagation_steps and not self._files.has("propagator"):
            raise ValueError(
                f"propagation steps were given, but the model {self._files.directory.name!r} has "
                "no flow network; leave -p out or use a model with a propagator"
            )

    def plan(
        self,
        frames: int,
        height: int,
        width: int,
        settings: UpscaleSettings | None = None,
        *,
        cuts: Sequence[int] = (),
        memory: int | None = None,
    ) -> Plan:
        """How a clip of this size is done; ``cuts`` are the first frames of its later scenes.

        ``memory`` bytes of a device may be used (most of what is free now). ``MemoryError`` where
        not even the smallest tile fits, ``ValueError`` for cuts that do not rise.
        """
        settings = settings or self.defaults
        self.check(settings)
        name = "vae_video" if settings.use_video_vae else "vae_3d"
        memory = int(MEMORY_SHARE * available_memory()) if memory is None else memory
        return make_plan(
            frames,
            height,
            width,
            settings,
            unet=self.unet.config,
            vae=cast(VAEConfig, self._files.config(name)),
            itemsize=jnp.dtype(self.dtype).itemsize,
            memory=memory,
            devices=self.mesh.size if self.mesh else 1,
            cuts=cuts,
        )

    def runner(
        self,
        plan: Plan,
        settings: UpscaleSettings,
        frames: int,
        *,
        progress: Progress = _silent,
    ) -> ClipRunner:
        """What makes the plan's segments one after the other, for clips that are not in memory."""
        self.check(settings)
        return ClipRunner(self, plan, settings, frames, progress)

    def upscale(
        self,
        frames: UInt8[np.ndarray, "T H W 3"] | UInt16[np.ndarray, "T H W 3"],
        settings: UpscaleSettings | None = None,
        *,
        cuts: Sequence[int] = (),
        plan: Plan | None = None,
        progress: Progress = _silent,
    ) -> Iterator[Float[np.ndarray, "N H W 3"]]:
        """Upscaled frames in [-1, 1], in the groups that are decoded together, in order.

        ``frames`` are RGB, uint8 or uint16 of the full range. ``cuts`` are the first frames of
        scenes but the first: nothing crosses them. Noise depends on (seed, frame of the scene,
        position) alone. ``progress`` is told of flow, denoising and decoding.
        """
        settings = settings or self.defaults
        if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise ValueError(
                f"frames of shape {frames.shape}; expected (T, H, W, 3), none of them 0"
            )
        if frames.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"frames of dtype {frames.dtype}; expected uint8 or uint16")
        T, H, W, _ = frames.shape
        plan = plan or self.plan(T, H, W, settings, cuts=cuts)
        runner = self.runner(plan, settings, T, progress=progress)
        for segment in plan.segments:
            first, last = segment.of_clip
            yield from runner.segment(frames[first:last], segment)

    def encode_text(self, settings: UpscaleSettings) -> Float[Array, "P 77 D"]:
        """The prompt, and the negative prompt where guidance runs.

        Of a model that knows certain phrases only (``phrases``), those; see ``ignored_phrases``.
        """
        prompts = [full_prompt(settings.prompt, settings.a_prompt)]
        if settings.guidance_scale > 1:
            prompts.append(settings.n_prompt)
        if self.phrases is not None:
            prompts = [", ".join(split_phrases(text, self.phrases)[0]) for text in prompts]
        return encode_prompts(self.tokenizer, self.text_encoder, prompts)

    def ignored_phrases(self, settings: UpscaleSettings) -> list[str]:
        """What the settings' prompts say that this model does not know."""
        if self.phrases is None:
            return []
        prompts = [settings.prompt, *settings.scene_prompts, settings.a_prompt]
        prompts += [settings.n_prompt] if settings.guidance_scale > 1 else []
        ignored = [part for text in prompts for part in split_phrases(text, self.phrases)[1]]
        return list(dict.fromkeys(ignored))

    def flow(self, low_res: Float[np.ndarray, "T H W 3"]) -> ClipFlow:
        """Flow between neighbouring frames in [-1, 1]."""
        return _clip_flow(self.network("propagator"), jnp.asarray(low_res)[None])


def to_bytes(frames: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[-1, 1] to 8 bits: clamp, then round (the published code truncates, which darkens)."""
    return np.rint(np.clip(frames * 0.5 + 0.5, 0, 1) * 255).astype(np.uint8)


def with_overrides(settings: UpscaleSettings, **values) -> UpscaleSettings:
    """``settings`` with every value that is not None replaced."""
    return replace(settings, **{k: v for k, v in values.items() if v is not None})


def output_size(height: int, width: int) -> tuple[int, int]:
    """Size of the result for a low-resolution size."""
    return UPSCALE * height, UPSCALE * width
