"""What can be scored: interpolation, a peer, a model, or results that lie in a folder."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from uav_jax.evaluation.dataset import EvalClip, Frame, checked, decoded
from uav_jax.evaluation.layouts import SIDECARS
from uav_jax.evaluation.peers import PEERS, load_peer
from uav_jax.jobs.names import is_result_of
from uav_jax.pipeline.upscale import Upscaler, to_bytes
from uav_jax.provenance import hash_once, hash_values
from uav_jax.video.containers import shown
from uav_jax.video.images import image_files
from uav_jax.weights.model_files import DEFAULT_MODEL

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


@dataclass(frozen=True, slots=True)
class Method:
    """``run(clip)`` gives uint8 frames ``(4h, 4w, 3)`` one by one; ``about`` says what it is."""

    run: Callable[[EvalClip], Iterator[Frame]]
    about: dict = field(default_factory=dict)


def interpolation(name: str) -> Method:
    """Pillow's filter, 4 times, frame by frame."""

    def run(clip: EvalClip) -> Iterator[Frame]:
        _, H, W, _ = clip.shape
        for frame in clip.low_res:
            yield np.asarray(Image.fromarray(frame).resize((W, H), FILTERS[name]))

    return Method(run, {"what": f"Pillow's {name} filter"})


def peer(name: str) -> Method:
    """Another upscaler through ncnn, frame by frame."""
    upscale = load_peer(name)
    return Method(lambda clip: map(upscale, clip.low_res), {"what": PEERS[name].about})


def model(name: str) -> Method:
    """A model with its own default settings."""
    upscaler = Upscaler.from_pretrained(name)
    settings = asdict(upscaler.defaults)

    def run(clip: EvalClip) -> Iterator[Frame]:
        for group in upscaler.upscale(clip.low_res):
            yield from to_bytes(group)

    about = {"what": "uav_jax", "settings": settings, "settings_sha256": hash_values(settings)}
    about |= {"weights_sha256": hash_once(upscaler.directory), "dtype": upscaler.dtype}
    return Method(run, about)


def _visible(folder: Path) -> list[Path]:
    """What could be results in a folder: no hidden files, records and comparisons."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    visible = (p for p in found if not p.name.startswith(".") and p.suffix not in SIDECARS)
    return [p for p in visible if not p.stem.endswith("_compare")]


def _names_clip(path: Path, name: str) -> bool:
    """Whether a file is called after a clip, or a folder is and holds its frames."""
    return bool(image_files(path)) and path.name == name if path.is_dir() else path.stem == name


def find_result(folder: Path, name: str) -> Path:
    """Returns the result of a clip.

    Args:
        folder: Holds `<clip>.*`, a folder of frames `<clip>`, or what `infer.py` made of the
            clip or of its `lq_<kind>` file: `<clip>_n0_g1_s1.mp4`, `<clip>/lq_real_n0_g1_s1.mp4`.
        name: Of the clip.

    Raises:
        ValueError: There is none, or several.
    """
    every = _visible(folder)
    usable = [p for p in every if _names_clip(p, name)]
    usable = usable or [p for p in every if is_result_of(p, name)]
    usable = usable or _visible(folder / name)
    if len(usable) != 1:
        what = "none" if not usable else ", ".join(shown(p.name) for p in usable)
        raise ValueError(
            f"{shown(folder)} should hold one result of clip {name} ({name}.*, {name}_n*_g*_s*, or "
            f"one file in a folder {name}), but holds {what}"
        )
    return usable[0]


def results(folder: Path) -> Method:
    """Finished results, as `find_result` finds them."""

    def run(clip: EvalClip) -> Iterator[Frame]:
        path = find_result(folder, clip.name)
        return checked(decoded(path), clip.shape, str(path))

    return Method(run, {"what": "finished results"})


def truth() -> Method:
    """The truth itself: what a perfect result would score."""
    return Method(lambda clip: clip.truth(), {"what": "the truth"})


def find_method(name: str) -> Method:
    """A filter, a peer, ``truth``, ``default``, a model directory or a results folder."""
    if name in FILTERS:
        return interpolation(name)
    if name in PEERS:
        return peer(name)
    if name == "truth":
        return truth()
    if name == DEFAULT_MODEL or (Path(name) / "unet").is_dir():
        return model(name)
    if Path(name).is_dir():
        return results(Path(name))
    raise ValueError(
        f"unknown method {name!r}: expected {', '.join((*FILTERS, *PEERS))}, truth, "
        f"{DEFAULT_MODEL}, a model directory, or a folder of results"
    )
