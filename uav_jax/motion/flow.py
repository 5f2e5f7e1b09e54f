"""Flow between the neighbouring frames of a clip, both directions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from uav_jax.layers.resample import bilinear_matrix, resize
from uav_jax.models.raft.model import RAFT
from uav_jax.shapes import Flow, Video


class ClipFlow(NamedTuple):
    """Flow in pixels of the frames: from t to t + 1, and from t + 1 to t."""

    forward: Float[Array, "B T-1 H W 2"]
    backward: Float[Array, "B T-1 H W 2"]


def _resized_back(flow: Flow, height: int, width: int, *, strict: bool) -> Flow:
    """Flow of the rounded size at the clip's size.

    ``strict`` repeats a slip of the published code, which scales image row 0 by the height ratio
    and row 1 by the width ratio (both components) instead of the two components.
    """
    ratio_x, ratio_y = width / flow.shape[3], height / flow.shape[2]
    flow = resize(flow, height, width, bilinear_matrix)
    if not strict:
        return flow * jnp.array([ratio_x, ratio_y], jnp.float32)
    flow = flow.at[:, :, 0].multiply(ratio_y)
    return flow.at[:, :, 1:2].multiply(ratio_x)


def clip_flow(
    model: RAFT, video: Video, *, iterations: int | None = None, strict: bool = False
) -> ClipFlow:
    """RAFT between neighbours of frames in [-1, 1]; sizes are rounded up to multiples of 8.

    One pair at a time, since the correlation volume grows with the square of the area. ``strict``
    reproduces the published resizing of the flow (see ``_resized_back``).
    """
    H, W = video.shape[2:4]
    height, width = -(-H // 8) * 8, -(-W // 8) * 8
    rounded = resize(video, height, width, bilinear_matrix) if (height, width) != (H, W) else video

    def of_clip(frames_THWC: Array) -> tuple[Array, Array]:
        features = jax.lax.map(lambda f: model.fnet(f[None])[0], frames_THWC)
        context = jax.lax.map(lambda f: model.cnet(f[None])[0], frames_THWC)

        def pair(inputs: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
            f1, f2, c1, c2 = (x[None] for x in inputs)
            forward = model.from_features(f1, f2, c1, iterations)[1][0]
            return forward, model.from_features(f2, f1, c2, iterations)[1][0]

        return jax.lax.map(pair, (features[:-1], features[1:], context[:-1], context[1:]))

    forward, backward = jax.lax.map(of_clip, rounded)
    return ClipFlow(
        _resized_back(forward, H, W, strict=strict), _resized_back(backward, H, W, strict=strict)
    )
