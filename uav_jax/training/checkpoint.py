"""Checkpoints of a run: Orbax, asynchronous, the last few and the best, restored exactly."""

from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Array
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN
from safetensors.numpy import save_file

from uav_jax.runtime.files import atomic_path
from uav_jax.training.functional import Parameters
from uav_jax.training.step import TrainState
from uav_jax.weights.model_files import read_tensors

NETWORK = "network.safetensors"
BEST = "best.safetensors"
"""The averaged network of the last checkpoint, and of the one with the lowest validation LPIPS."""


def _lpips(scores: Mapping[str, float]) -> float:
    return scores["lpips_vgg"]


class Checkpoints:
    """The checkpoints in ``workdir/checkpoints``; a step is the number of updates made.

    The last ``keep`` are kept; where they are ``validated``, also the one with the lowest LPIPS.
    """

    def __init__(self, workdir: Path, keep: int, *, validated: bool = False):
        policies: list = [LatestN(keep)]
        if validated:
            policies.append(BestN(get_metric_fn=_lpips, reverse=True, n=1))
        options = ocp.CheckpointManagerOptions(
            create=True,
            best_fn=_lpips if validated else None,
            best_mode="min",
            preservation_policy=AnyPreservationPolicy(policies),
        )
        self._manager = ocp.CheckpointManager((workdir / "checkpoints").resolve(), options=options)

    def save(self, state: TrainState, scores: dict[str, float] | None = None) -> None:
        """Saves in the background, with the validation's scores; a step that exists is left."""
        step = int(state.step)
        if step not in self._manager.all_steps():
            arguments = ocp.args.StandardSave(state._asdict())
            self._manager.save(step, args=arguments, metrics=scores)

    def best_step(self) -> int | None:
        """The saved step with the lowest validation LPIPS, or None."""
        return self._manager.best_step()

    def latest_step(self) -> int | None:
        """The newest saved step, or None."""
        return self._manager.latest_step()

    def restore_latest(self, like: TrainState) -> TrainState | None:
        """The newest state in the shapes and on the devices of ``like``; None if there is none.

        The mesh may differ from the one that the state was saved from. ``ValueError`` if the state
        is another network's.
        """
        step = self.latest_step()
        if step is None:
            return None
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like._asdict())
        try:
            return TrainState(**self._manager.restore(step, args=ocp.args.StandardRestore(target)))
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"{self._manager.directory}: step {step} does not fit this recipe's network "
                f"({str(error).splitlines()[0]}); give another --workdir"
            ) from error

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()


def save_network(workdir: Path, parameters: Mapping[str, Array], file: str = NETWORK) -> None:
    """Writes the whole averaged network, for later stages and export."""
    values = {name: np.ascontiguousarray(jax.device_get(v)) for name, v in parameters.items()}
    with atomic_path(workdir / file) as temporary:
        save_file(values, temporary)


def network_file(place: str | Path) -> Path | None:
    """``place`` if it is a network's file, the last network of a work folder, or None."""
    path = Path(place)
    path = path if path.suffix == ".safetensors" else path / NETWORK
    return path if path.is_file() else None


def load_network(place: str | Path) -> Parameters:
    """The averaged network in a work folder or of a file there, frozen parameters included."""
    path = network_file(place)
    if path is None:
        raise ValueError(f"{place} holds no {NETWORK}; train that stage first")
    return {name: jnp.asarray(tensor.read()) for name, tensor in read_tensors(path).items()}
