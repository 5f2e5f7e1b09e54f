"""What scenes show: from the text file beside a video, or from an image-to-text model.

As in the published pipeline, the first frame of a scene is described. ``clip.txt`` beside
``clip.mp4`` holds one line for the whole video, or one for each of its scenes.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from uav_jax.io.source import SourceInfo

CAPTION_MODEL = "Salesforce/blip-image-captioning-base"
LONGEST = 40
"""Tokens of a caption."""

Captioner = Callable[[UInt8[np.ndarray, "H W 3"]], str]
"""A frame to what it shows, in a few words."""


def load_captioner(name: str) -> Captioner:
    """A transformers image-to-text model: a directory, or a name of one that was downloaded.

    ``ValueError`` where the extra is not installed or the model is not there.
    """
    if find_spec("torch") is None:  # the models of transformers are written in it
        raise ValueError('captions need PyTorch; pip install "uav_jax[caption]"')
    from transformers import AutoModelForImageTextToText, AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(name, local_files_only=True)
        model = AutoModelForImageTextToText.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"no caption model at {name!r}; fetch one (hf download {CAPTION_MODEL}), give "
            "--caption_model with its directory, or leave --caption out"
        ) from error
    model.eval()

    def caption(frame: UInt8[np.ndarray, "H W 3"]) -> str:
        inputs = processor(images=Image.fromarray(frame), return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=LONGEST)
        return " ".join(processor.batch_decode(tokens, skip_special_tokens=True)[0].split())

    return caption


def sidecar(source: Path) -> Path:
    """Where the words of a video are: ``clip.txt`` beside ``clip.mp4``."""
    return source.with_suffix(".txt")


def scene_prompts(
    source: SourceInfo, cuts: Sequence[int], captioner: Callable[[], Captioner] | None = None
) -> tuple[str, ...]:
    """One prompt for each scene: of the sidecar file, or made by ``captioner`` and kept there.

    A file whose lines are not as many as the scenes describes the whole video. Empty prompts where
    there is neither.
    """
    scenes, path = len(cuts) + 1, sidecar(source.path)
    if path.is_file():
        text = path.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return tuple(lines) if len(lines) == scenes else (" ".join(lines),) * scenes
    if captioner is None:
        return ("",) * scenes
    describe, first = captioner(), {0, *cuts}
    frames = enumerate(source.stream())
    prompts = tuple(describe(frame) for number, frame in frames if number in first)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text("\n".join(prompts) + "\n")
    temporary.replace(path)
    return prompts
