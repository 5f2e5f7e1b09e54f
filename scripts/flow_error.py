"""End-point errors of the default model's flow network, beside scikit-image's methods.

    python -m scripts.flow_error DATA [--model MODEL] [--pairs N]

Held-out synthetic pairs (``DATA`` as ``python -m uav_jax.data.packages`` makes it) of 128 x 128
pixels, and scikit-image's stereo pair with measured disparity, a quarter of its size. Mean
distance, in pixels, of the flow vectors' ends.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image
from rich.console import Console
from rich.table import Table
from skimage import data
from skimage.color import rgb2gray
from skimage.registration import optical_flow_ilk, optical_flow_tvl1

from uav_jax.data.loader import DataConfig, batches
from uav_jax.models.raft.model import RAFT
from uav_jax.motion.flow import clip_flow
from uav_jax.training.task import to_unit_range
from uav_jax.weights.model_files import DEFAULT_MODEL, find_model

SIDE, REDUCTION = 128, 4

Pair = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Two frames uint8 ``(2, H, W, 3)``, flow ``(H, W, 2)`` in pixels, and where it is known."""


def synthetic(directory: str, pairs: int) -> Iterator[Pair]:
    """Held-out photographs that move in pieces."""
    config = DataConfig(
        directory=directory, kind="flow", batch_size=1, frames=2, crop=SIDE, validation=True
    )
    made = batches(config)
    for _ in range(pairs):
        batch = next(made)
        flow = batch["flow"][0]
        yield batch["target"][0], flow, np.ones(flow.shape[:2], bool)


def stereo() -> Iterator[Pair]:
    """scikit-image's motorcycle: the left image's x is the right image's x - disparity."""
    left, right, disparity = data.stereo_motorcycle()
    height, width = (length // REDUCTION for length in disparity.shape)
    frames = [
        Image.fromarray(v).resize((width, height), Image.Resampling.BOX) for v in (left, right)
    ]
    nearest = disparity[REDUCTION // 2 :: REDUCTION, REDUCTION // 2 :: REDUCTION][:height, :width]
    flow = np.stack([-nearest / REDUCTION, np.zeros_like(nearest)], -1)
    yield np.stack([np.asarray(f) for f in frames]), flow, np.isfinite(nearest) & (nearest > 0)


def of_network(model: RAFT) -> Callable[[np.ndarray], np.ndarray]:
    """Frames to flow by the network, which is compiled once a size."""
    graph, state = nnx.split(model)

    @jax.jit
    def run(state, frames):
        return clip_flow(nnx.merge(graph, state), frames[None]).forward[0, 0]

    return lambda frames: np.asarray(run(state, to_unit_range(jnp.asarray(frames))))


def of_library(method: Callable, frames: np.ndarray) -> np.ndarray:
    """Frames to flow by a function of scikit-image (rows, columns)."""
    rows, columns = method(*(rgb2gray(frame) for frame in frames))
    return np.stack([columns, rows], -1)


def errors(pairs: list[Pair], estimate: Callable[[np.ndarray], np.ndarray]) -> float:
    """Mean over the pixels of every pair whose flow is known, and over pairs."""
    return float(
        np.mean(
            [
                np.linalg.norm(estimate(frames) - flow, axis=-1)[known].mean()
                for frames, flow, known in pairs
            ]
        )
    )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--pairs", type=int, default=64)
    options = parser.parse_args()
    network = find_model(Path(options.model) if "/" in options.model else options.model).load(
        "propagator", dtype=jnp.float32, param_dtype=jnp.float32
    )
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "no motion": lambda frames: np.zeros((*frames.shape[1:3], 2)),
        "Lucas-Kanade": partial(of_library, optical_flow_ilk),
        "TV-L1": partial(of_library, optical_flow_tvl1),
        "the flow network": of_network(network),
    }
    sets = {"synthetic": list(synthetic(options.data, options.pairs)), "stereo": list(stereo())}
    table = Table("end-point error (pixels)", *sets)
    for name, estimate in methods.items():
        table.add_row(name, *(f"{errors(pairs, estimate):.2f}" for pairs in sets.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
