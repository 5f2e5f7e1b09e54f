"""The denoising loop: guided v-prediction over windows in time and tiles in space.

    v  = sum over windows and tiles of their share times  v_neg + g (v_pos - v_neg)          (1)
    x0 = sqrt(a) x - sqrt(1 - a) v;  x0 <- propagate(x0) at the chosen steps                 (2)
    x  <- sqrt(a_prev) x0 + sqrt(1 - a_prev) eps(x, v)                                       (3)

Multistep solvers replace (3) by weighted sums (``solvers``).

Every step is denoised as a whole: shares blend at every step, not at the end. The network runs on
rows, each one window of one tile, always of one shape, so that one compiled program serves clips of
every length and frames of every size; over several devices the rows of a call are divided.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from uav_jax import programs
from uav_jax.diffusion.ddim import DDIMSteps, ddim_update
from uav_jax.diffusion.schedule import MAX_STEPS, predict_x0
from uav_jax.diffusion.solvers import Solver, plan_steps
from uav_jax.diffusion.windows import WindowPlan
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.motion.flow import ClipFlow
from uav_jax.motion.propagation import Carried, PropagationConfig, propagate
from uav_jax.shapes import Text, Video

EVERY_TIME = (0, MAX_STEPS)
"""Timesteps at which guidance runs: all."""


def _silent(*_) -> None:
    pass


def _told(watch: Callable[[int, int], None], calls: int, done: int) -> None:
    watch(done, calls)


class Conditioning(NamedTuple):
    """What stays the same over the steps. One clip: B = 1."""

    low_res: Float[Array, "1 T H W 3"]  # noised to ``noise_level``
    noise_level: Array  # () int
    text: Text  # (1 or 2, L, D): positive, then negative where guidance runs
    guidance_scale: Array  # () float


@dataclass(frozen=True, slots=True)
class Places:
    """Rectangles of one size that cover a frame, and what each contributes to each of its pixels.

    ``shares`` of all rectangles add up to 1 at every pixel of the frame.
    """

    corners: tuple[tuple[int, int], ...]
    shares: Float[np.ndarray, "N h w 1"]

    @classmethod
    def whole(cls, height: int, width: int) -> "Places":
        """The frame itself."""
        return cls(((0, 0),), np.ones((1, height, width, 1), np.float32))


class Rows(NamedTuple):
    """What one call of the network works on: R windows of tiles."""

    frames: np.ndarray  # (R,) first frame
    tops: np.ndarray  # (R,)
    lefts: np.ndarray  # (R,)
    weights: np.ndarray  # (R, F, h, w, 1) contribution, 0 for rows that only fill a call up


def plan_rows(windows: WindowPlan, places: Places, at_once: int) -> list[Rows]:
    """Every window of every place, ``at_once`` to a call; the last call is filled with copies."""
    found = []
    for (start, row), ((top, left), share) in product(
        zip(windows.starts, windows.weights, strict=True),
        zip(places.corners, places.shares, strict=True),
    ):
        weight = row[start : start + windows.length, None, None, None] * share
        found.append((start, top, left, weight))
    while len(found) % at_once:
        start, top, left, weight = found[-1]
        found.append((start, top, left, np.zeros_like(weight)))
    calls = [found[i : i + at_once] for i in range(0, len(found), at_once)]
    return [Rows(*(np.stack(column) for column in zip(*call, strict=True))) for call in calls]


@partial(jax.jit, static_argnames=("shape", "sharding"))
def _cut(x: Video, rows: tuple, *, shape: tuple[int, int, int], sharding) -> Video:
    """Windows ``(R, F, h, w, C)`` of a clip ``(1, T, H, W, C)``."""

    def cut(first, top, left):
        return jax.lax.dynamic_slice(x[0], (first, top, left, 0), (*shape, x.shape[-1]))

    cut_rows = jax.vmap(cut)(*rows)
    if sharding is None:
        return cut_rows
    return jax.lax.with_sharding_constraint(cut_rows, sharding)


@partial(jax.jit, static_argnames=("graph", "keep"))
def guided(
    graph,
    state,
    latents: Float[Array, "R F h w 4"],
    low_res: Float[Array, "R F h w 3"],
    timestep: Array,
    noise_level: Array,
    text: Text,
    guidance_scale: Array,
    deep: tuple[Video, ...] = (),
    *,
    keep: bool = False,
) -> tuple[Float[Array, "R F h w 4"], tuple[Video, ...]]:
    """Guided v of rows: one branch for each prompt in ``text``, from what they share.

    ``deep`` are the deep features of an earlier step, one of each prompt, to be used again. With
    ``keep`` those of this step are returned too.
    """
    unet, rows = nnx.merge(graph, state), latents.shape[0]
    level, time = jnp.full((rows,), noise_level), jnp.full((rows,), timestep)
    started = unet.start(latents, low_res, time, level)
    texts = (jnp.broadcast_to(prompt, (rows, *prompt.shape)) for prompt in text)
    deep = deep or unet.deep(started, *texts)
    started = unet.skipped(started) if len(text) > 1 else started
    v = unet.top(started, deep[0])
    for features in deep[1:]:
        features, v = jax.lax.optimization_barrier((features, v))  # one prompt after the other
        v_negative = unet.top(started, features)
        v = v_negative + guidance_scale * (v - v_negative)
    return v, deep if keep else ()


@partial(jax.jit, donate_argnums=0)
def _add(total: Video, v_RFhwC: Array, rows: tuple, weights: Array) -> Video:
    """Rows added to the clip's v with their weights."""
    _, F, h, w, C = v_RFhwC.shape
    weighted = v_RFhwC * weights
    for i, (first, top, left) in enumerate(zip(*rows, strict=True)):
        at = (jnp.int32(0), first, top, left, jnp.int32(0))
        part = jax.lax.dynamic_slice(total, at, (1, F, h, w, C)) + weighted[i]
        total = jax.lax.dynamic_update_slice(total, part, at)
    return total


@dataclass(frozen=True, slots=True)
class _Prediction:
    """Equation (1) over all rows of a plan."""

    config: UNetConfig
    unet: tuple
    plan: list[Rows]
    shape: tuple[int, int, int]
    mesh: Mesh | None
    watch: Callable[[int], None]
    reuse: int = 1  # steps that share deep features
    kept: dict[int, tuple[Video, ...]] = field(default_factory=dict)  # by call

    def __call__(
        self, latents: Video, conditioning: Conditioning, step: int, timestep: Array, guide: bool
    ) -> Video:
        low_res, level, text, scale = conditioning
        text = text if guide else text[:1]
        sharding = self.mesh and NamedSharding(self.mesh, PartitionSpec(self.mesh.axis_names[0]))
        total = before = jnp.zeros_like(latents)
        for number, rows in enumerate(self.plan):
            where = (rows.frames, rows.tops, rows.lefts)
            cut = partial(_cut, rows=where, shape=self.shape, sharding=sharding)
            inputs = (cut(latents), cut(low_res), jnp.asarray(timestep), level, text, scale)
            deep = self.kept.get(number, ()) if step % self.reuse else ()
            deep = deep if len(deep) == len(text) else ()
            keep = self.reuse > 1 and not deep
            v, made = programs.call(guided, self.config, self.unet, (*inputs, deep), keep=keep)
            if keep:
                self.kept[number] = made
            total = _add(total, v, where, rows.weights)
            if number:
                before.block_until_ready()  # this call is under way meanwhile
            before = v
            self.watch(step * len(self.plan) + number)
        return total


@partial(jax.jit, static_argnames="config")
def _advance(
    x: Video,
    v: Video,
    alpha: Array,
    alpha_previous: Array,
    flow: ClipFlow | None,
    carried: Carried | None,
    *,
    config: PropagationConfig | None,
) -> tuple[Video, Video]:
    """Equations (2) and (3); also the clean latents."""
    x0 = predict_x0(alpha, x, v)
    if config is not None:
        assert flow is not None
        x0 = propagate(x0, flow.forward, flow.backward, config, carried)
    return ddim_update(alpha, alpha_previous, x, v, x0), x0


@jax.jit
def _weighted(weights: tuple, latents: tuple) -> Video:
    return sum(w * x for w, x in zip(weights, latents, strict=True))  # pyright: ignore


class _Multistep:
    """Equation (3) by a multistep solver: remembers the last latents and clean latents."""

    def __init__(self, steps: DDIMSteps, solver: Solver):
        self._plan = plan_steps(steps, solver)
        self._before: Video | None = None
        self._clean: list[Video] = []

    def __call__(self, number: int, x: Video, clean: Video) -> Video:
        weights = self._plan[number]
        one, two = (self._clean[-1:] or [clean])[0], (self._clean or [clean])[0]
        if weights.corrected is not None:
            x = _weighted(weights.corrected, (self._before, one, two, clean))
        self._before, self._clean = x, [*self._clean[-1:], clean]
        return _weighted(weights.following, (x, clean, one))


def sample(
    unet: VideoUNet,
    latents: Float[Array, "1 T H W 4"],
    conditioning: Conditioning,
    steps: DDIMSteps,
    windows: WindowPlan,
    *,
    places: Places | None = None,
    propagation_steps: tuple[int, ...] = (),
    flow: ClipFlow | None = None,
    propagation: PropagationConfig | None = None,
    carried: dict[int, Array] | None = None,
    carried_at: int = 0,
    carry_frame: int | None = None,
    solver: Solver = "ddim",
    guidance_interval: tuple[int, int] = EVERY_TIME,
    deep_reuse: int = 1,
    rows_at_once: int = 2,
    mesh: Mesh | None = None,
    watch: Callable[[int, int], None] = _silent,
) -> Float[Array, "1 T H W 4"]:
    """Clean latents from noise.

    ``propagation_steps`` count from 0 at the noisiest step and need ``flow``. ``carried`` holds, by
    step, what an earlier stretch made of frame ``carried_at``; with ``carry_frame`` it is replaced
    by what this one makes of that frame. Guidance runs at timesteps inside ``guidance_interval``;
    outside of it the prompt alone is evaluated. ``deep_reuse`` steps in a row share what the
    network makes below its first level (Ma et al., CVPR 2024). ``rows_at_once`` windows go through
    the network together, divided over the first axis of ``mesh``. ``watch`` is told how many calls
    are done, of how many; what it raises ends the sampling. ``ValueError`` for too late a step.
    """
    count = len(steps.timesteps)
    for step in propagation_steps:
        if not 0 <= step < count:
            raise ValueError(f"propagation step {step} is outside 0..{count - 1}")
    assert flow is not None or not propagation_steps, "propagation needs flow"
    places = places or Places.whole(*latents.shape[2:4])
    shape = (windows.length, *places.shares.shape[1:3])
    plan = plan_rows(windows, places, rows_at_once)
    told = partial(_told, watch, count * len(plan))
    predict = _Prediction(unet.config, nnx.split(unet), plan, shape, mesh, told, deep_reuse)
    multistep = None if solver == "ddim" else _Multistep(steps, solver)
    carried = {} if carried is None else carried
    low, high = guidance_interval
    for number, (timestep, alpha, previous) in enumerate(zip(*steps, strict=True)):
        v = predict(latents, conditioning, number, timestep, low <= timestep <= high)
        propagates = number in propagation_steps
        following, clean = _advance(
            latents,
            v,
            alpha,
            previous,
            flow if propagates else None,
            Carried(carried[number], carried_at) if propagates and number in carried else None,
            config=(propagation or PropagationConfig()) if propagates else None,
        )
        latents = multistep(number, latents, clean) if multistep else following
        if propagates and carry_frame is not None:
            carried[number] = clean[:, carry_frame]
    return latents
