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

from uav_jax.runtime.files import read_any_text, write_text
from uav_jax.video.color import to_8_bit
from uav_jax.video.containers import shown
from uav_jax.video.source import SourceInfo

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
        raise ValueError('captions need PyTorch; pip install ".[caption]"')
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
    source: SourceInfo,
    cuts: Sequence[int],
    captioner: Callable[[], Captioner] | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> tuple[str, ...]:
    """Returns one prompt for each scene; empty ones where nothing describes it.

    Args:
        source: The video.
        cuts: The first frames of its later scenes.
        captioner: Describes scenes where there is no sidecar file; the file is then written.
        announce: Told in one line where prompts come from. A sidecar file whose lines are not as
            many as the scenes describes the whole video.
    """
    scenes, path = len(cuts) + 1, sidecar(source.path)
    if path.is_file():
        lines = [line.strip() for line in read_any_text(path).splitlines() if line.strip()]
        if len(lines) in (1, scenes):
            announce(f"prompt of {shown(path.name)}: {' / '.join(lines)}")
            return tuple(lines) if len(lines) == scenes else tuple(lines) * scenes
        joined = ", ".join(line.rstrip(" ,") for line in lines)
        announce(
            f"prompt of {shown(path.name)}, {len(lines)} lines for {scenes} scenes, so all of "
            f"them for each: {joined}"
        )
        return (joined,) * scenes
    if captioner is None:
        return ("",) * scenes
    describe, first = captioner(), {0, *cuts}
    frames = enumerate(source.stream())
    prompts = tuple(describe(to_8_bit(frame)) for number, frame in frames if number in first)
    write_text(path, "\n".join(prompts) + "\n")
    announce(f"captions written to {shown(path.name)}: {' / '.join(prompts)}")
    return prompts
