"""Checkpoints of a run: Orbax, asynchronous, the last few kept, restored exactly."""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from uav_jax.training.functional import Parameters
from uav_jax.training.step import TrainState


class Checkpoints:
    """The checkpoints in ``workdir/checkpoints``; a step is the number of updates made."""

    def __init__(self, workdir: Path, keep: int):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager((workdir / "checkpoints").resolve(), options=options)

    def save(self, state: TrainState) -> None:
        """Saves in the background; a step that exists already is left as it is."""
        step = int(state.step)
        if step not in self._manager.all_steps():
            self._manager.save(step, args=ocp.args.StandardSave(state._asdict()))

    def restore_latest(self, like: TrainState) -> TrainState | None:
        """The newest state in the shape of ``like``, or None where there is none."""
        step = self._manager.latest_step()
        if step is None:
            return None
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like._asdict())
        return TrainState(**self._manager.restore(step, args=ocp.args.StandardRestore(target)))

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.wait_until_finished()
        self._manager.close()


def load_average(workdir: str) -> Parameters:
    """The averaged parameters of the newest checkpoint of a finished or running stage."""
    directory = (Path(workdir) / "checkpoints").resolve()
    if not directory.is_dir():
        raise ValueError(f"{workdir} holds no checkpoints; train that stage first")
    with ocp.CheckpointManager(directory) as manager:
        step = manager.latest_step()
        if step is None:
            raise ValueError(f"{workdir} holds no finished checkpoint")
        return manager.restore(step, args=ocp.args.StandardRestore())["average"]
