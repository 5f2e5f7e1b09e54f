"""Model directories: the released layout, our converted one, and the model that ships with us."""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from jax.typing import DTypeLike
from safetensors.numpy import save_file

from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.runtime.files import fresh_folder
from uav_jax.runtime.json_files import read_object
from uav_jax.weights.engine import (
    LazyTensor,
    fill,
    misshapen,
    parameter_shapes,
    raise_if,
    to_ours,
    to_published,
)
from uav_jax.weights.networks import NETWORKS, SCHEDULERS, Network
from uav_jax.weights.orbax_files import read_orbax
from uav_jax.weights.rules import Derived
from uav_jax.weights.safetensors_file import read_safetensors
from uav_jax.weights.torch_file import read_torch, write_torch

DEFAULT_MODEL = "default"
DEFAULT_DIRECTORY = Path(__file__).parent.parent / "default"
FORMAT = 1
_MARKER = "uav_jax.json"
DEFAULTS_FILE = "defaults.json"
PHRASES_FILE = "prompts.json"
NOTICE = "NOTICE"
"""Licences of weights that a model was trained from."""


MAX_PARAMETERS = 4_000_000_000
"""Of one network; the largest released one has 0.7e9."""

SETTINGS = {
    **{f"{folder}/scheduler_config.json": 1 << 20 for folder in SCHEDULERS},
    "tokenizer/vocab.json": 8 << 20,
    "tokenizer/merges.txt": 8 << 20,
    "tokenizer/tokenizer.json": 8 << 20,
    "tokenizer/tokenizer_config.json": 1 << 20,
    "tokenizer/special_tokens_map.json": 1 << 20,
    "tokenizer/added_tokens.json": 1 << 20,
    DEFAULTS_FILE: 1 << 20,
    PHRASES_FILE: 1 << 20,
    NOTICE: 1 << 20,
}
"""The files beside the networks that a model may have, and how many bytes each may take."""


def read_tensors(path: Path) -> dict[str, LazyTensor]:
    """Named tensors of a ``.safetensors``, ``.bin`` or ``.pth`` file, read when asked for."""
    return read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)


class ModelFiles:
    """A model directory of either layout, read network by network.

    ``ValueError`` where something that upscaling needs is missing, unless ``complete`` is False.
    """

    def __init__(self, directory: Path, *, complete: bool = True):
        self.directory = directory
        self.converted = (directory / _MARKER).is_file()
        if self.converted:
            marker = read_object(directory / _MARKER)
            if marker.get("format") != FORMAT:
                raise ValueError(
                    f"{directory} has format {marker.get('format')!r:.40}; this version reads "
                    f"{FORMAT}"
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
        return {} if name == "propagator" and not path.is_file() else read_object(path)

    def config(self, name: str, **settings):
        """The network's configuration; ``settings`` are its dtypes."""
        return NETWORKS[name].configure(self.published_config(name), **settings)

    def schedule(self, name: str) -> ScheduleConfig:
        """``scheduler`` (sampling) or ``low_res_scheduler``."""
        config = read_object(self.directory / name / "scheduler_config.json")
        if name == "low_res_scheduler":  # only its alphas are used
            config = {k: v for k, v in config.items() if k.startswith(("beta", "num_train"))}
        return ScheduleConfig.from_json(config)

    def defaults(self) -> dict:
        """Settings that this model is meant to be run with; {} where it names none."""
        path = self.directory / DEFAULTS_FILE
        return read_object(path) if path.is_file() else {}

    def phrases(self) -> tuple[str, ...] | None:
        """The phrases that this model understands; None: any text.

        Raises:
            ValueError: ``prompts.json`` is not ``{"phrases": [text, ...]}``, texts without commas.
        """
        path = self.directory / PHRASES_FILE
        if not path.is_file():
            return None
        phrases = read_object(path).get("phrases")
        if not isinstance(phrases, list) or not all(
            isinstance(phrase, str) and phrase.strip() and not set(phrase) & set(",;\n")
            for phrase in phrases
        ):
            raise ValueError(f'{path} is no object of the form {{"phrases": ["drawing", ...]}}')
        return tuple(phrases)

    def check_settings(self) -> None:
        """Reads every file but the weights; ``ValueError`` for the first that does not fit."""
        for name in NETWORKS:
            if self.has(name):
                self.config(name)
        for name in SCHEDULERS:
            self.schedule(name)
        self.phrases()
        for name, limit in SETTINGS.items():
            path = self.directory / name
            if path.exists() and path.suffix == ".json":
                read_object(path, limit)
            elif path.exists() and (not path.is_file() or path.stat().st_size > limit):
                raise ValueError(f"{path} is no regular file of up to {limit} bytes")

    def _abstract(self, name: str, **settings) -> nnx.Module:
        config = self.config(name, **settings)
        model = nnx.eval_shape(lambda: NETWORKS[name].build(config, rngs=None))
        total = sum(math.prod(shape) for shape in parameter_shapes(model).values())
        if total > MAX_PARAMETERS:
            raise ValueError(
                f"{self.config_path(name)} describes a network of {total} parameters; up to "
                f"{MAX_PARAMETERS} are accepted"
            )
        return model

    def parameters(
        self, name: str, shapes: dict[str, tuple[int, ...]] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(parameters under our names, published tensors that we cannot derive).

        ``shapes`` are those of the network's variables, where the caller has them.
        """
        network, path = NETWORKS[name], self._weights(NETWORKS[name])
        if path is None:
            raise ValueError(f"{self.directory} has no {name}")
        shapes = parameter_shapes(self._abstract(name)) if shapes is None else shapes
        if not self.converted:
            return to_ours(network.table, read_tensors(path), shapes, str(path))
        extras = path.parent / "extras.safetensors"
        tensors = read_tensors(extras) if extras.is_file() else {}
        problems = misshapen({n: t.shape for n, t in tensors.items()}, network.table, shapes)
        derived = network.table.derived
        problems += [f"unexpected tensor {n}" for n in tensors if not _matches(derived, n)]
        raise_if(problems, str(extras))
        return read_orbax(path, shapes), {n: t.read() for n, t in tensors.items()}

    def load(self, name: str, *, dtype: DTypeLike, param_dtype: DTypeLike) -> Any:
        """The network with its weights, stored as ``param_dtype``, computing in ``dtype``."""
        model = self._abstract(name, dtype=dtype, param_dtype=param_dtype)
        parameters, _ = self.parameters(name, parameter_shapes(model))
        return fill(model, parameters, f"{self.directory}: {name}")


def _matches(derived: tuple[Derived, ...], name: str) -> bool:
    return any(kind.matches(name) for kind in derived)


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
    model.check_settings()
    written = []
    with fresh_folder(target) as out:
        for name, network in NETWORKS.items():
            if not model.has(name):
                continue
            parameters, extras = model.parameters(name)
            (out / name).mkdir()
            _save(out / name / "weights", parameters)
            if extras:
                values = {key: np.asarray(value, order="C") for key, value in extras.items()}
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
    model.check_settings()
    written = []
    with fresh_folder(target) as out:
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
        key: np.asarray(v.astype(np.float16) if v.dtype == np.float32 else v, order="C")
        for key, v in published.items()
    }
    save_file(half, path)
    path.chmod(0o644)
    _write_json(target / network.config, config)


def _copy_settings(model: ModelFiles, out: Path) -> None:
    for name in SETTINGS:
        if (model.directory / name).exists():
            (out / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(model.directory / name, out / name)


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
