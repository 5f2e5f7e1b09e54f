"""Model directories: the released layout, our converted one, and the model that ships with us."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from jax.typing import DTypeLike
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.weights.engine import (
    LazyTensor,
    fill,
    parameter_shapes,
    to_ours,
    to_published,
)
from uav_jax.weights.networks import NETWORKS, SCHEDULERS, Network
from uav_jax.weights.torch_file import read_torch, write_torch

DEFAULT_MODEL = "default"
DEFAULT_DIRECTORY = Path(__file__).parent.parent / "default"
FORMAT = 1
_MARKER = "uav_jax.json"
_DEFAULTS = "defaults.json"
NOTICE = "NOTICE"
"""Licences of weights that a model was trained from."""


def read_tensors(path: Path) -> dict[str, LazyTensor]:
    """Named tensors of a ``.safetensors``, ``.bin`` or ``.pth`` file, read when asked for."""
    if path.suffix != ".safetensors":
        return read_torch(path)
    try:
        file = safe_open(path, "numpy")  # mapped for as long as a tensor may be asked for
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        kinds = {n: np.dtype(_SAFETENSORS_DTYPES[s.get_dtype()]) for n, s in slices.items()}
        shapes = {name: tuple(s.get_shape()) for name, s in slices.items()}
    except Exception as error:  # the reader's own exception type is not exported
        raise ValueError(f"{path} is no readable safetensors file: {error}") from error
    return {
        name: LazyTensor(shapes[name], kinds[name], partial(file.get_tensor, name))
        for name in slices
    }


_SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "U8": "uint8",
    "BOOL": "bool",
}


class ModelFiles:
    """A model directory of either layout, read network by network.

    ``ValueError`` where something that upscaling needs is missing, unless ``complete`` is False.
    """

    def __init__(self, directory: Path, *, complete: bool = True):
        self.directory = directory
        self.converted = (directory / _MARKER).is_file()
        if self.converted:
            marker = _json(directory / _MARKER)
            if marker.get("format") != FORMAT:
                raise ValueError(
                    f"{directory} has format {marker.get('format')}; this version reads {FORMAT}"
                )
        missing = [n.name for n in NETWORKS.values() if not n.optional and not self.has(n.name)]
        if not (self.has("vae_3d") or self.has("vae_video")):
            missing.append("vae_3d or vae_video")
        missing += [s for s in (*SCHEDULERS, "tokenizer") if not (directory / s).is_dir()]
        if missing and complete:
            raise ValueError(
                f"{directory} is no model directory: it lacks {', '.join(missing)}; expected the "
                "released layout (unet/, vae/, text_encoder/, tokenizer/, scheduler/, "
                "low_res_scheduler/) or the output of convert.py"
            )

    def _weights(self, network: Network) -> Path | None:
        if self.converted:
            path = self.directory / network.name / "weights"
            return path if path.is_dir() else None
        paths = (self.directory / name for name in network.weights)
        return next((path for path in paths if path.is_file()), None)

    def has(self, name: str) -> bool:
        """Whether the model has this network."""
        return self._weights(NETWORKS[name]) is not None

    def config_path(self, name: str) -> Path:
        """Where the network's JSON lies (a RAFT may have none)."""
        return self.directory / (f"{name}/config.json" if self.converted else NETWORKS[name].config)

    def published_config(self, name: str) -> dict:
        """The network's JSON as published ({} for a RAFT without one)."""
        path = self.config_path(name)
        return {} if name == "propagator" and not path.is_file() else _json(path)

    def config(self, name: str, **settings):
        """The network's configuration; ``settings`` are its dtypes."""
        return NETWORKS[name].configure(self.published_config(name), **settings)

    def schedule(self, name: str) -> ScheduleConfig:
        """``scheduler`` (sampling) or ``low_res_scheduler``."""
        config = _json(self.directory / name / "scheduler_config.json")
        if name == "low_res_scheduler":  # only its alphas are used
            config = {k: v for k, v in config.items() if k.startswith(("beta", "num_train"))}
        return ScheduleConfig.from_json(config)

    def defaults(self) -> dict:
        """Settings that this model is meant to be run with; {} where it names none."""
        path = self.directory / _DEFAULTS
        return _json(path) if path.is_file() else {}

    def _abstract(self, name: str, **settings) -> nnx.Module:
        config = self.config(name, **settings)
        return nnx.eval_shape(lambda: NETWORKS[name].build(config, rngs=None))

    def parameters(
        self, name: str, shapes: dict[str, tuple[int, ...]] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(parameters under our names, published tensors that we cannot derive).

        ``shapes`` are those of the network's variables, where the caller has them.
        """
        network, path = NETWORKS[name], self._weights(NETWORKS[name])
        if path is None:
            raise ValueError(f"{self.directory} has no {name}")
        if self.converted:
            with ocp.StandardCheckpointer() as checkpointer:
                values = checkpointer.restore(path.resolve())
            parameters = {key: np.asarray(value) for key, value in values.items()}
            extras = path.parent / "extras.safetensors"
            return parameters, load_file(extras) if extras.is_file() else {}
        shapes = parameter_shapes(self._abstract(name)) if shapes is None else shapes
        return to_ours(network.table, read_tensors(path), shapes, str(path))

    def load(self, name: str, *, dtype: DTypeLike, param_dtype: DTypeLike) -> Any:
        """The network with its weights, stored as ``param_dtype``, computing in ``dtype``."""
        model = self._abstract(name, dtype=dtype, param_dtype=param_dtype)
        parameters, _ = self.parameters(name, parameter_shapes(model))
        return fill(model, parameters, f"{self.directory}: {name}")


def find_model(name: str | Path, *, complete: bool = True) -> ModelFiles:
    """A model by directory, or ``default`` for the one that ships with the package.

    Raises ``ValueError`` for a name that is neither; ``complete`` is that of ``ModelFiles``.
    """
    if str(name) == DEFAULT_MODEL:
        return ModelFiles(DEFAULT_DIRECTORY, complete=complete)
    if not Path(name).is_dir():
        raise ValueError(
            f"unknown model {str(name)!r}: expected {DEFAULT_MODEL!r}, a released directory, or a "
            "directory written by convert.py"
        )
    return ModelFiles(Path(name), complete=complete)


_RENAMED = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
"""What newer diffusers call the layers of the autoencoder's attention."""


def image_network(
    directory: Path, name: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray] | None:
    """The image network below ``name`` from the Stable Diffusion x4 upscaler, as diffusers has it.

    ``shapes`` are those of our parameters that it has to fill, all of them and nothing else
    (``WeightError``). None if the directory holds no such file.
    """
    network = NETWORKS[name]
    paths = (directory / file for file in network.image_weights)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    tensors = read_tensors(path)
    if name != "unet":
        for old, new in _RENAMED.items():
            tensors = {key.replace(f".{old}.", f".{new}."): v for key, v in tensors.items()}
    return to_ours(network.table, tensors, shapes, str(path))[0]


def convert(source: Path, target: Path) -> list[str]:
    """Writes a model as Orbax checkpoints with its configs, tokenizer and schedulers.

    Nothing is left at ``target`` if it fails. Returns the names of the networks written.
    """
    model = ModelFiles(source)
    written = []
    with _fresh_directory(target) as out:
        for name, network in NETWORKS.items():
            if not model.has(name):
                continue
            parameters, extras = model.parameters(name)
            (out / name).mkdir()
            _save(out / name / "weights", parameters)
            if extras:
                values = {key: np.ascontiguousarray(value) for key, value in extras.items()}
                save_file(values, out / name / "extras.safetensors")
            if model.config_path(name).is_file():
                shutil.copyfile(model.config_path(name), out / name / "config.json")
            written.append(network.name)
        _copy_settings(model, out)
        _write_json(out / _MARKER, {"format": FORMAT, "networks": written})
    return written


IN_FLIGHT = 50_000_000
"""Bytes of a checkpoint that are gathered in memory before they are written to a file."""


def _save(path: Path, parameters: dict[str, np.ndarray]) -> None:
    """Writes an Orbax checkpoint without its usual copy in memory."""
    handlers = ocp.type_handlers.create_type_handler_registry(
        (np.ndarray, ocp.type_handlers.NumpyHandler(deepcopy_host_arrays=False)),
        (jax.Array, ocp.type_handlers.ArrayHandler()),
    )
    arguments = ocp.args.PyTreeSave(parameters, ocdbt_target_data_file_size=IN_FLIGHT)
    handler = ocp.PyTreeCheckpointHandler(type_handler_registry=handlers)
    with ocp.Checkpointer(handler) as checkpointer:
        checkpointer.save(path.resolve(), args=arguments)


def to_torch(source: Path, target: Path) -> list[str]:
    """Writes a model in the released layout, as the published code loads it."""
    model = ModelFiles(source)
    written = []
    with _fresh_directory(target) as out:
        for name, network in NETWORKS.items():
            if not model.has(name):
                continue
            path = out / network.weights[0]
            path.parent.mkdir(exist_ok=True)
            parameters, extras = model.parameters(name)
            write_torch(path, to_published(network.table, parameters, extras))
            if model.config_path(name).is_file():
                shutil.copyfile(model.config_path(name), out / network.config)
            written.append(network.name)
        _copy_settings(model, out)
    return written


def write_release(
    target: Path, name: str, parameters: Mapping[str, np.ndarray], config: dict
) -> None:
    """Writes one network of a released layout as float16 safetensors (what we ship)."""
    network = NETWORKS[name]
    path = target / network.weights[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    published = to_published(network.table, parameters)
    half = {
        key: np.ascontiguousarray(v.astype(np.float16) if v.dtype == np.float32 else v)
        for key, v in published.items()
    }
    save_file(half, path)
    path.chmod(0o644)
    _write_json(target / network.config, config)


def _copy_settings(model: ModelFiles, out: Path) -> None:
    for folder in (*SCHEDULERS, "tokenizer"):
        shutil.copytree(model.directory / folder, out / folder, copy_function=shutil.copyfile)
    for name in (_DEFAULTS, NOTICE):
        if (model.directory / name).is_file():
            shutil.copyfile(model.directory / name, out / name)


class _fresh_directory:
    """A directory that appears under its name only when everything in it was written."""

    def __init__(self, target: Path):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ValueError(f"{target} exists and is not empty; give a new folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))

    def __enter__(self) -> Path:
        return self._temporary

    def __exit__(self, failure, *_) -> None:
        if failure is not None:
            shutil.rmtree(self._temporary)
            return
        if self._target.exists():
            self._target.rmdir()
        self._temporary.chmod(0o755)
        self._temporary.rename(self._target)


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
