"""A clip on its way through a model, segment by segment."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8, UInt16

from uav_jax.diffusion.ddim import ddim_steps
from uav_jax.diffusion.sampler import Conditioning, sample
from uav_jax.diffusion.schedule import add_noise, alphas_cumprod
from uav_jax.motion.flow import ClipFlow
from uav_jax.pipeline.color import fix_color
from uav_jax.pipeline.decode import decode_frames, plan_groups
from uav_jax.pipeline.devices import out_of_memory, over_rows
from uav_jax.pipeline.noise import noise_of
from uav_jax.pipeline.plan import Plan
from uav_jax.pipeline.segments import Segment
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.shapes import UPSCALE, Text

if TYPE_CHECKING:
    from uav_jax.pipeline.upscale import Upscaler

Progress = Callable[[str, int, int], None]
"""``progress(phase, done, total)``; of phase "memory", what had to be made smaller."""

Result = TypeVar("Result")
Carry = dict[int, Array]
"""By propagation step, what the last frame that was made became: the forward pass goes on there."""


class ClipRunner:
    """Makes the segments of one clip, in order."""

    def __init__(
        self,
        upscaler: "Upscaler",
        plan: Plan,
        settings: UpscaleSettings,
        frames: int,
        progress: Progress,
    ):
        self.upscaler, self.settings, self.progress = upscaler, settings, progress
        self.frames = frames
        self._texts = self._encoded(plan)
        self.vae = upscaler.network("vae_video" if settings.use_video_vae else "vae_3d")
        self._draw = noise_of(settings, (frames, plan.height, plan.width, 3))
        self.carried: tuple[int, Carry] = (-1, {})  # the scene, and what its last segment left
        self._plan_with(plan)

    def _encoded(self, plan: Plan) -> dict[int, Text]:
        """The prompts of every scene, by its first frame."""
        settings, scenes = self.settings, sorted({s.scene for s in plan.segments})
        prompts = settings.scene_prompts or (settings.prompt,) * len(scenes)
        if len(prompts) != len(scenes):
            raise ValueError(f"{len(prompts)} scene prompts for {len(scenes)} scenes")
        encoded = {p: self.upscaler.encode_text(replace(settings, prompt=p)) for p in set(prompts)}
        return {scene: encoded[p] for scene, p in zip(scenes, prompts, strict=True)}

    def _plan_with(self, plan: Plan) -> None:
        self.plan, self._places, self._shares = plan, plan.places(), plan.enlarged_shares()

    def _fitting(self, work: Callable[[], Result]) -> Result:
        """Runs ``work``; where the device's memory is short, again with a halved plan."""
        while True:
            try:
                return work()
            except jax.errors.JaxRuntimeError as error:
                if not out_of_memory(error):
                    raise
            mesh = self.upscaler.mesh
            self._plan_with(self.plan.halved(mesh.size if mesh else 1))
            tile = self._places.shares.shape
            rows = self.plan.rows_at_once
            self.progress(
                f"out of memory: continuing with tiles of {tile[2]}x{tile[1]}, {rows} at once", 0, 0
            )

    def segment(
        self, frames: UInt8[np.ndarray, "N h w 3"] | UInt16[np.ndarray, "N h w 3"], segment: Segment
    ) -> Iterator[Float[np.ndarray, "n H W 3"]]:
        """Groups of the frames that ``segment`` makes; ``frames`` are those that it looks at."""
        edge = self.settings.edge
        around = ((0, 0), (edge, edge), (edge, edge), (0, 0))
        low_res = to_unit_range(np.pad(frames, around, "reflect"))
        latents = self._fitting(lambda: self._denoise(low_res, segment))
        made: dict[tuple[int, int], np.ndarray] = {}
        groups = plan_groups(
            segment.frames,
            segment.start,
            segment.stop,
            self.settings.decode_overlap,
            self.vae.config.group,
        )
        for start, stop, parts in groups:
            total = np.zeros((), np.float32)
            spans = [(a, b) for a, b, _ in parts]
            made = {span: frames for span, frames in made.items() if span in spans}
            for a, b, weights in parts:
                if (a, b) not in made:
                    here = slice(a - segment.first, b - segment.first)
                    made[a, b] = self._fitting(lambda h=here: self._decode(latents[h], low_res[h]))
                share = np.zeros((stop - start, 1, 1, 1), np.float32)
                share[:, 0, 0, 0] = weights
                total = total + share * _stretch(made[a, b], a, b, start, stop)
            condition = low_res[start - segment.first : stop - segment.first]
            fixed = _fix_color(np.asarray(total), condition, self.settings.color_fix)
            yield _without_edge(fixed, UPSCALE * edge)
            self.progress("decoding", segment.scene + stop, self.frames)

    def _decode(self, latents: np.ndarray, low_res: np.ndarray) -> np.ndarray:
        mesh = self.upscaler.mesh
        return decode_frames(
            self.vae,
            latents,
            low_res,
            self._places,
            self._shares,
            self.settings.low_res_weight,
            at_once=mesh.size if mesh else 1,
            sharding=over_rows(mesh),
        )

    def _flow(self, low_res: np.ndarray) -> ClipFlow | None:
        if not self.settings.propagation_steps or len(low_res) < 2:
            return None
        self.progress("flow", 0, 1)
        flow = self.upscaler.flow(low_res)
        self.progress("flow", 1, 1)
        return flow

    def _denoise(self, low_res: np.ndarray, segment: Segment) -> Float[np.ndarray, "N h w 4"]:
        """Latents of the frames that a segment looks at."""
        upscaler, settings = self.upscaler, self.settings
        noise_low, noise = self._draw(segment.scene, segment.first, len(low_res))
        level = jnp.asarray(settings.noise_level)
        noised = add_noise(
            alphas_cumprod(upscaler.low_res_schedule),
            jnp.asarray(low_res)[None],
            jnp.asarray(noise_low)[None],
            level[None],
        )
        flow = self._flow(low_res)
        scene, before = self.carried
        carried = dict(before) if scene == segment.scene else {}
        at, length = segment.scene + segment.start, segment.stop - segment.start

        def watch(done: int, calls: int) -> None:
            self.progress("denoising", at + length * done // calls, self.frames)

        watch(0, 1)
        latents = sample(
            upscaler.unet,
            jnp.asarray(noise)[None],
            Conditioning(
                noised, level, self._texts[segment.scene], jnp.float32(settings.guidance_scale)
            ),
            ddim_steps(upscaler.schedule, settings.inference_steps),
            segment.windows,
            places=self._places,
            propagation_steps=settings.propagation_steps if flow else (),
            flow=flow,
            carried=carried,
            carried_at=segment.kept.start - 1,
            carry_frame=segment.kept.stop - 1,
            solver=settings.solver,
            guidance_interval=settings.guidance_interval,
            deep_reuse=settings.deep_reuse,
            rows_at_once=self.plan.rows_at_once,
            mesh=upscaler.mesh,
            watch=watch,
        )
        self.carried = segment.scene, carried
        watch(1, 1)
        return np.asarray(latents[0])


def to_unit_range(frames: np.ndarray) -> Float[np.ndarray, "N h w 3"]:
    """Integers of the full range, uint8 or uint16, to [-1, 1]."""
    middle = np.float32(np.iinfo(frames.dtype).max / 2)
    return frames.astype(np.float32) / middle - 1


def _without_edge(frames: np.ndarray, edge: int) -> np.ndarray:
    _, H, W, _ = frames.shape
    return frames[:, edge : H - edge, edge : W - edge]


def _stretch(frames: np.ndarray, first: int, last: int, start: int, stop: int) -> np.ndarray:
    """Frames ``first`` to ``last`` laid into ``start`` to ``stop``, zeros where there are none."""
    if (first, last) == (start, stop):
        return frames
    out = np.zeros((stop - start, *frames.shape[1:]), np.float32)
    low, high = max(first, start), min(last, stop)
    out[low - start : high - start] = frames[low - first : high - first]
    return out


_fix_color_jitted = jax.jit(fix_color, static_argnames="method")


def _fix_color(frames: np.ndarray, low_res: np.ndarray, method) -> np.ndarray:
    if method == "none":
        return frames
    return np.asarray(_fix_color_jitted(frames, low_res, method=method))
