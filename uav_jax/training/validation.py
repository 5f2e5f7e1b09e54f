"""Trying the averaged network on held-out clips: PSNR, LPIPS and a picture."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.sharding import Mesh
from jaxtyping import Array, UInt8

from uav_jax.data.loader import DataConfig, Tokenize, batches
from uav_jax.metrics.artefacts import blocking_energy
from uav_jax.metrics.lpips import lpips
from uav_jax.training.config import TrainConfig
from uav_jax.training.functional import Parameters
from uav_jax.training.mesh import batch_shardings, place_batch, replicated
from uav_jax.training.sources import Source
from uav_jax.training.task import Task, part, to_unit_range


class Validation:
    """The same held-out records with the same noise every time.

    ``ValueError`` where nothing is held out or the LPIPS weights are missing.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        source: Source,
        mesh: Mesh,
        tokenize: Tokenize | None,
        share: tuple[int, int],
    ):
        self._mesh, self._sample = mesh, task.sample
        self._batches: list[dict[str, np.ndarray]] = []
        if config.validation.batches:
            try:
                data = batches(held_out(config.data), tokenize, share=share)
            except ValueError as error:
                raise ValueError(f"{error}; validation.batches=0 does without") from error
            self._batches = [next(data) for _ in range(config.validation.batches)]
            self._lpips = part("lpips", task.frozen) or source.lpips(config)
        self._key = jax.random.key(config.seed + 2)
        self._evaluate: Callable | None = None

    def __call__(
        self, average: Parameters, frozen: Parameters
    ) -> tuple[dict[str, float], UInt8[np.ndarray, "T H W 3"]] | None:
        """Mean PSNR (dB), LPIPS (VGG16) and blocking, and the first batch as a picture.

        None if turned off. A row of the picture is a clip: low-quality (enlarged), the network's,
        the target.
        """
        rows, scores = None, []
        for number, batch in enumerate(self._batches):
            self._evaluate = self._evaluate or self._compiled(batch)
            key = jax.random.fold_in(self._key, number)
            placed = place_batch(self._mesh, batch)
            score, picture = self._evaluate(average, frozen, self._lpips, placed, key)
            scores.append(jax.device_get(score))
            rows = jax.device_get(picture) if rows is None else rows
        if rows is None:
            return None
        means = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
        return means, rows

    def _compiled(self, batch: Mapping) -> Callable:
        whole = replicated(self._mesh)
        inputs = (None, None, whole, batch_shardings(self._mesh, batch), whole)
        return jax.jit(self._scored, in_shardings=inputs, out_shardings=whole)

    def _scored(
        self, average: Parameters, frozen: Parameters, weights: Parameters, batch, key: Array
    ) -> tuple[dict[str, Array], Array]:
        made = jnp.clip(self._sample(average, frozen, batch, key), -1, 1)
        target = to_unit_range(batch["target"])
        error = jnp.mean(jnp.square(made - target), (1, 2, 3, 4)) / 4
        frames = [rearrange(v, "b t h w c -> (b t) h w c") for v in (made, target)]
        score = {
            "psnr": jnp.mean(-10 * jnp.log10(jnp.maximum(error, 1e-10))),
            "lpips_vgg": jnp.mean(lpips(weights, *frames)),
            "blocking": jnp.mean(blocking_energy(frames[0])),
        }
        pictures = [jnp.round((made + 1) * 127.5).astype(jnp.uint8), batch["target"]]
        if "low_quality" in batch:
            small = batch["low_quality"]
            pictures.insert(0, jnp.repeat(jnp.repeat(small, 4, axis=2), 4, axis=3))
        return score, rearrange(jnp.stack(pictures), "n b t h w c -> t (b h) (n w) c")


def held_out(config: DataConfig) -> DataConfig:
    """The validation's records: held-out clips, clean targets, full prompts; no phrases."""
    return replace(
        config,
        validation=True,
        negative_probability=0.0,
        empty_probability=0.0,
        undamaged_probability=0.0,
        plain_probability=1.0,
    )
