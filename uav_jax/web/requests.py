"""What the page sends, checked: names, kinds of files, settings."""

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
from uav_jax.web.work import Moment

LONGEST_NAME = 100
LONGEST_PROMPT = 500
LONGEST_POSITION = 30

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
    """A file's name as it may be shown and offered for download: no folders, no control signs."""
    name = PurePosixPath(name.replace("\\", "/")).name
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C").strip()
    return name[:LONGEST_NAME] or "video"


def suffix_of(name: str) -> str:
    """The suffix of an accepted name; ``ValueError`` for others."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise ValueError(f"{name} is not a video; accepted are {', '.join(VIDEO_SUFFIXES)}")
    return suffix


def _number(values: Mapping, name: str, kind: type, otherwise):
    value = values.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ValueError(f"{name} {value!r} is not a number")
    if kind is int and value != int(value):
        raise ValueError(f"{name} {value!r} is not a whole number")
    return kind(value)


def settings_from(values: Mapping, defaults: UpscaleSettings) -> UpscaleSettings:
    """The model's settings that the form's values mean. ``ValueError`` for what is wrong."""
    prompt, color_fix = values.get("prompt", ""), values.get("color_fix", defaults.color_fix)
    if not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT:
        raise ValueError(f"the prompt is longer than {LONGEST_PROMPT} characters")
    steps = _number(values, "inference_steps", int, defaults.inference_steps)
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
    """What the form previews."""
    x, y = (_number(values, name, float, 0.5) for name in ("x", "y"))
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"the preview's place ({x:g}, {y:g}) is outside of the picture (0 to 1)")
    return Moment(_number(values, "frame", int, 0), x, y)
