"""What the page sends, checked: names, kinds of files, settings."""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from uav_jax.jobs.options import JobOptions
from uav_jax.pipeline.settings import UpscaleSettings
from uav_jax.pipeline.upscale import with_overrides
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.containers import VIDEO_SUFFIXES
from uav_jax.video.limits import UPLOAD_LIMITS
from uav_jax.video.position import Part, Position
from uav_jax.video.source import ReadOptions
from uav_jax.web.limits import MAX_NUMBER, MAX_STEPS, MAX_TEXT
from uav_jax.web.refusals import Refusal
from uav_jax.web.work import Moment

LONGEST_NAME = 100
LONGEST_SUFFIX = 10
LONGEST_POSITION = 30
LONGEST_NUMBER = 40
"""Digits of a number in JSON."""

FIELDS = (
    *("prompt", "scale", "noise_level", "guidance_scale", "inference_steps", "color_fix"),
    *("propagation", "from", "to", "hdr", "deinterlace", "frame", "x", "y"),
)
"""What the form sends. Everything else is dropped."""

_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"RIFF",  # AVI
    b"GIF8",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x47",  # MPEG transport stream
    b"FLV\x01",
    b"\x30\x26\xb2\x75",  # ASF, WMV
    b"OggS",
    b"\x06\x0e\x2b\x34",  # MXF
    b"YUV4MPEG2",
    b"DKIF",  # IVF
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")


def is_video_file(head: bytes) -> bool:
    """Whether a file begins like a container of videos.

    Playlists and scripts, which name other files for FFmpeg to open, do not.
    """
    is_m2ts = head[4:5] == b"\x47"
    return head.startswith(_STARTS) or head[4:8] in _BOXES or is_m2ts


def shown_name(name: str) -> str:
    """Returns a file's name as it may be shown and offered for download.

    Folders and control characters are left out, and a long name is cut before its suffix.
    """
    name = PurePosixPath(name.replace("\\", "/")).name
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip()
    suffix = PurePosixPath(name).suffix
    if len(name) > LONGEST_NAME and len(suffix) <= LONGEST_SUFFIX:
        return name[: LONGEST_NAME - len(suffix)] + suffix
    return name[:LONGEST_NAME] or "video"


def suffix_of(name: str) -> str:
    """Returns the suffix of an accepted name; `ValueError` for others."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise ValueError(f"{name} is not a video; accepted are {', '.join(VIDEO_SUFFIXES)}")
    return suffix


def _refuse_constant(text: str) -> float:
    raise Refusal(422, f"{text} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text) if len(text) <= LONGEST_NUMBER else math.inf
    if not abs(value) <= MAX_NUMBER:
        raise Refusal(422, f"{text[:LONGEST_NUMBER]} is outside -{MAX_NUMBER:g}..{MAX_NUMBER:g}")
    return value


def _whole(text: str) -> int:
    return int(_finite(text))


def _check_value(name: str, value: object) -> None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Refusal(422, f"{name} is longer than {MAX_TEXT} characters")
        if any(unicodedata.category(c) == "Cs" for c in value):
            raise Refusal(422, f"{name} {value[:20]!a} contains an unpaired surrogate")
    elif not isinstance(value, (bool, int, float)):
        raise Refusal(422, f"{name} is a {type(value).__name__}; expected text, a number or a bool")


def parse_settings(body: bytes) -> dict:
    """Parses a JSON body and returns the fields of the form that it holds.

    Args:
        body: Of limited size.

    Returns:
        Names of `FIELDS` to text, finite numbers and booleans.

    Raises:
        Refusal: A value that no form has (422): lists, objects, null, numbers that are not finite
            or beyond `MAX_NUMBER`, lone surrogates, long texts, deep nesting.
        ValueError: It is not a JSON object.
    """
    try:
        values = json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise Refusal(422, "the request nests too deeply") from None
    except ValueError as error:
        raise ValueError(f"the request is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"settings are a {type(values).__name__}; expected an object")
    kept = {name: values[name] for name in FIELDS if name in values}
    for name, value in kept.items():
        _check_value(name, value)
    return kept


def _number(values: Mapping, name: str, kind: type, otherwise):
    value = values.get(name, otherwise)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"{name} {value!r} is not a number")
    if kind is int and value != int(value):
        raise ValueError(f"{name} {value!r} is not a whole number")
    return kind(value)


def settings_from(values: Mapping, defaults: UpscaleSettings) -> UpscaleSettings:
    """Returns the model's settings that the form's values mean.

    Raises:
        ValueError: A value that is not possible.
    """
    prompt, color_fix = values.get("prompt", ""), values.get("color_fix", defaults.color_fix)
    if not isinstance(prompt, str):
        raise ValueError(f"prompt {prompt!r} is not text")
    if len(prompt) > MAX_TEXT:
        raise ValueError(f"the prompt is longer than {MAX_TEXT} characters")
    steps = _number(values, "inference_steps", int, defaults.inference_steps)
    if steps > max(MAX_STEPS, defaults.inference_steps):
        raise ValueError(f"inference_steps {steps} is more than the form offers (1..{MAX_STEPS})")
    late = {steps - 1 - round(part * steps) for part in (0.0, 0.07, 0.13)} if steps > 1 else {0}
    return with_overrides(
        defaults,
        prompt=prompt.strip(),
        noise_level=_number(values, "noise_level", int, defaults.noise_level),
        guidance_scale=_number(values, "guidance_scale", float, defaults.guidance_scale),
        inference_steps=steps,
        color_fix=color_fix,
        propagation_steps=tuple(sorted(late)) if values.get("propagation") is True else None,
    )


UPLOAD = ReadOptions(hdr="tonemap", allow_truncated=True, limits=UPLOAD_LIMITS)
"""How an upload is read before its visitor has chosen anything."""


def _position(values: Mapping, name: str) -> Position | None:
    text = values.get(name, "")
    if not isinstance(text, str) or len(text) > LONGEST_POSITION:
        raise ValueError(f"{name} {str(text)[:LONGEST_POSITION]!r} is no position in a video")
    return Position.parse(text.strip()) if text.strip() else None


def options_from(values: Mapping) -> JobOptions:
    """Returns how the form wants the video read, and the scale of the result.

    Raises:
        ValueError: A value that is not possible.
    """
    read = replace(
        UPLOAD,
        hdr=values.get("hdr", UPLOAD.hdr),
        deinterlace="auto" if values.get("deinterlace", True) is True else "off",
        part=Part(_position(values, "from"), _position(values, "to")),
    )
    scale = _number(values, "scale", int, 4)
    return JobOptions(read=read, output=OutputFormat(), scale=scale, overwrite=True)


def moment_from(values: Mapping) -> Moment:
    """Returns what the form previews; `ValueError` where that is outside of the picture."""
    x, y = (_number(values, name, float, 0.5) for name in ("x", "y"))
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"the preview's centre ({x:g}, {y:g}) is outside of the picture (0 to 1)")
    return Moment(_number(values, "frame", int, 0), x, y)
