"""The denoising loop: guided v-prediction over temporal windows, DDIM, propagation as a hook on x0.

    v  = v_neg + g (v_pos - v_neg),  windows merged                                          (1)
    x0 = sqrt(a) x - sqrt(1 - a) v;  x0 <- propagate(x0) at the chosen steps                 (2)
    x  <- sqrt(a_prev) x0 + sqrt(1 - a_prev) eps(x, v)                                       (3)

One ``lax.scan`` over the steps; the carry is the current latent only.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from uav_jax.diffusion.ddim import DDIMSteps, ddim_update
from uav_jax.diffusion.schedule import predict_x0
from uav_jax.diffusion.windows import WindowPlan
from uav_jax.models.unet.model import VideoUNet
from uav_jax.motion.flow import ClipFlow
from uav_jax.motion.propagation import PropagationConfig, propagate
from uav_jax.shapes import Text, Video


class Conditioning(NamedTuple):
    """What stays the same over the steps. One clip: B = 1."""

    low_res: Float[Array, "1 T H W 3"]  # noised to ``noise_level``
    noise_level: Array  # () int
    text: Text  # (1 or 2, L, D): positive, then negative where guidance runs
    guidance_scale: Array  # () float


def _predict_windows(
    unet: VideoUNet,
    latents: Video,
    timestep: Array,
    conditioning: Conditioning,
    frames_WF: np.ndarray,
    rows_at_once: int,
) -> Float[Array, "W F H W 4"]:
    """Guided v of every window. Rows (windows x prompts) run ``rows_at_once`` at a time."""
    branches, windows = conditioning.text.shape[0], frames_WF.shape[0]

    def predict_row(row: Array) -> Array:
        window, branch = row // branches, row % branches
        frames = jnp.asarray(frames_WF)[window]
        return unet(
            latents[0, frames][None],
            conditioning.low_res[0, frames][None],
            timestep[None],
            conditioning.noise_level[None],
            conditioning.text[branch][None],
        )[0]

    rows = jnp.arange(windows * branches)
    v = jax.lax.map(predict_row, rows, batch_size=min(rows_at_once, len(rows)))
    v = v.reshape(windows, branches, *v.shape[1:])
    if branches == 1:
        return v[:, 0]
    return v[:, 1] + conditioning.guidance_scale * (v[:, 0] - v[:, 1])


def _merge(v_WFHWC: Array, plan_frames: np.ndarray, weights: Array, frames: int) -> Video:
    """Windows added into the clip with their weights."""
    if v_WFHWC.shape[0] == 1:
        return v_WFHWC
    rows = jnp.take_along_axis(weights, plan_frames, axis=1)
    merged = jnp.zeros((frames, *v_WFHWC.shape[2:]), v_WFHWC.dtype)
    weighted = v_WFHWC * rows[..., None, None, None]
    return merged.at[plan_frames].add(weighted)[None]


@partial(jax.jit, static_argnames=("graph", "starts", "length", "rows_at_once", "propagation"))
def _sample(
    graph,
    state,
    latents: Video,
    conditioning: Conditioning,
    steps: tuple[Array, ...],
    propagates: Array | None,
    flow: ClipFlow | None,
    merge_weights: Array,
    *,
    starts: tuple[int, ...],
    length: int,
    rows_at_once: int,
    propagation: PropagationConfig | None,
) -> Video:
    unet = nnx.merge(graph, state)
    frames_WF = np.asarray(starts)[:, None] + np.arange(length)

    mix = None
    if propagation is not None and flow is not None:
        mix = partial(propagate, forward=flow.forward, backward=flow.backward, config=propagation)

    def step(x: Video, row):
        (t, alpha, alpha_previous), propagate_now = row
        v = _predict_windows(unet, x, t, conditioning, frames_WF, rows_at_once)
        v = _merge(v, frames_WF, merge_weights, x.shape[1])
        x0 = predict_x0(alpha, x, v)
        if mix is not None:
            x0 = jax.lax.cond(propagate_now, mix, lambda x0: x0, x0)
        return ddim_update(alpha, alpha_previous, x, v, x0), None

    flags = jnp.zeros(steps[0].shape[0], bool) if propagates is None else propagates
    return jax.lax.scan(step, latents, (steps, flags))[0]


def sample(
    unet: VideoUNet,
    latents: Float[Array, "1 T H W 4"],
    conditioning: Conditioning,
    steps: DDIMSteps,
    windows: WindowPlan,
    *,
    propagation_steps: tuple[int, ...] = (),
    flow: ClipFlow | None = None,
    propagation: PropagationConfig | None = None,
    rows_at_once: int = 2,
) -> Float[Array, "1 T H W 4"]:
    """Clean latents from noise, one compiled program per shape.

    ``propagation_steps`` count from 0 at the noisiest step and need ``flow``. ``ValueError`` for a
    step beyond the last.
    """
    count = len(steps.timesteps)
    for step in propagation_steps:
        if not 0 <= step < count:
            raise ValueError(f"propagation step {step} is outside 0..{count - 1}")
    propagates = None
    if propagation_steps:
        assert flow is not None, "propagation needs flow"
        propagates = np.isin(np.arange(count), propagation_steps)
        propagation = propagation or PropagationConfig()
    graph, state = nnx.split(unet)
    return _sample(
        graph,
        state,
        latents,
        conditioning,
        tuple(map(jnp.asarray, steps)),
        propagates,
        flow if propagation_steps else None,
        windows.weights,
        starts=windows.starts,
        length=windows.length,
        rows_at_once=rows_at_once,
        propagation=propagation if propagation_steps else None,
    )
