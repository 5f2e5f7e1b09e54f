"""Propagation of latents along optical flow, backwards and then forwards in time.

    w_t   = warp(out_{t -+ 1}, flow_t)                                                       (1)
    fused = gamma * w_t + (1 - gamma) * x_t                                                  (2)
    out_t = m_t * fused + (1 - m_t) * x_t,    m_t the consistency mask of the flow           (3)

The backward pass runs over the input, the forward pass over the result of the backward pass; each
keeps the frame that it starts with. Where a clip is worked on in stretches, the forward pass goes
on from what an earlier stretch made of a frame that both have.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from uav_jax.layers.resample import area_matrix, resize
from uav_jax.motion.warp import Sampling, consistency_mask, warp
from uav_jax.shapes import Flow, Video


@dataclass(frozen=True, kw_only=True, slots=True)
class PropagationConfig:
    """How neighbouring latents are mixed; the defaults are the published ones."""

    sampling: Sampling = "nearest"
    mode: Literal["fuse", "copy"] = "fuse"
    fuse_weight: float = 0.5  # of the warped latent, gamma of equation (2)
    alpha1: float = 0.001
    alpha2: float = 0.05

    def __post_init__(self):
        if not 0 <= self.fuse_weight <= 1:
            raise ValueError(f"fuse weight {self.fuse_weight} is outside 0..1")


class Carried(NamedTuple):
    """What an earlier stretch of the clip made of frame ``at`` of this one."""

    frame: Float[Array, "B H W C"]
    at: Array | int


def flow_at(flow: Flow, height: int, width: int) -> Flow:
    """Flow reduced to another size by area averaging, its values scaled by the width ratio."""
    return resize(flow, height, width, area_matrix) * (width / flow.shape[3])


def _pass(
    x_TBHWC: Array,
    flows: Array,
    reverse: Array,
    config: PropagationConfig,
    carried: Carried | None = None,
) -> Float[Array, "T B H W C"]:
    """Equations (1) to (3) over frames 0, 1, ...; ``flows[t]`` leads from frame t + 1 to t."""
    numbers = jnp.arange(len(x_TBHWC))

    def known(number: Array, out: Array) -> Array:
        return out if carried is None else jnp.where(number == carried.at, carried.frame, out)

    def step(previous: Array, inputs: tuple[Array, Array, Array, Array]):
        current, flow, back, number = inputs
        warped = warp(previous, flow, sampling=config.sampling)
        mask = consistency_mask(flow, back, alpha1=config.alpha1, alpha2=config.alpha2)
        gamma = config.fuse_weight
        mixed = warped if config.mode == "copy" else gamma * warped + (1 - gamma) * current
        out = known(number, mask * mixed + (1 - mask) * current)
        return out, out

    start = known(numbers[0], x_TBHWC[0])
    _, rest = jax.lax.scan(step, start, (x_TBHWC[1:], flows, reverse, numbers[1:]))
    return jnp.concatenate([start[None], rest])


def propagate(
    x: Video,
    forward: Float[Array, "B T-1 h w 2"],
    backward: Float[Array, "B T-1 h w 2"],
    config: PropagationConfig,
    carried: Carried | None = None,
) -> Video:
    """Latents mixed along both flows, which may be of another size.

    ``forward[t]`` leads from frame t to t + 1, ``backward[t]`` from t + 1 to t.
    """
    if x.shape[1] == 1:
        return x
    flows = [flow_at(flow, *x.shape[2:4]) for flow in (forward, backward)]
    forward, backward = (rearrange(flow, "b t h w c -> t b h w c") for flow in flows)
    frames = rearrange(x, "b t h w c -> t b h w c")
    frames = _pass(frames[::-1], forward[::-1], backward[::-1], config)[::-1]
    frames = _pass(frames, backward, forward, config, carried)
    return rearrange(frames, "t b h w c -> b t h w c")
