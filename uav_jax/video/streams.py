"""What becomes of the streams beside the pictures, decided before anything is computed."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Literal

from av.error import FFmpegError

from uav_jax.video.codecs import CODECS, OutputFormat
from uav_jax.video.containers import format_name, open_buffer, open_input, shown
from uav_jax.video.source import UNKNOWN, SourceInfo, StreamInfo

TEXT_SUBTITLES = ("subrip", "ass", "mov_text", "webvtt", "text")
"""Subtitle formats that can be converted into each other."""

CONVERTED = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
"""What text subtitles become where a container cannot hold theirs."""

CONVERTED_SOUND = {".mp4": "aac", ".mov": "aac", ".mkv": "aac", ".webm": "libopus"}
"""The encoder of sound that a container cannot hold as it is."""

PLAYABLE = {
    ".mp4": ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"),
    ".mov": ("aac", "mp3", "ac3", "eac3", "alac"),
}
"""Sound that players expect in these containers; a result that nobody named goes to .mkv for
others."""

COVERS = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
"""Cover pictures by their codec: the name and type of the attachment that Matroska has for them."""

Action = Literal["copy", "convert", "drop"]


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What becomes of one stream: `codec` that it is converted to, `reason` why it is dropped."""

    stream: StreamInfo
    action: Action
    codec: str = ""
    reason: str = ""


@cache
def can_hold(suffix: str, codec: str) -> bool:
    """Whether a container can hold streams of a format, by FFmpeg's own table."""
    with open_buffer(io.BytesIO(), "w", format=format_name(suffix)) as out:
        try:
            out.add_mux_stream(codec)
        except ValueError:
            return False
    return True


def automatic_suffix(output: OutputFormat, source: SourceInfo) -> str:
    """Returns the container of a result that the user did not name.

    The codec's usual one, or .mkv where that alone keeps sound, subtitles or attachments as they
    are.
    """
    usual = CODECS[output.codec or ""].containers[0]
    if usual in (".mkv", ".webm"):
        return usual
    for stream in source.streams:
        needs_mkv = (
            (stream.kind == "audio" and stream.codec not in PLAYABLE[usual])
            or (stream.kind == "subtitle" and stream.codec != "mov_text")
            or stream.kind == "attachment"
        )
        if needs_mkv and _plan_stream(stream, ".mkv", source).action == "copy":
            return ".mkv"
    return usual


def plan_streams(source: SourceInfo, suffix: str, *, named: bool = True) -> list[StreamPlan]:
    """Decides what becomes of every stream beside the pictures.

    Args:
        source: What is upscaled.
        suffix: Of the result.
        named: Whether the user chose the container; then subtitles that it cannot hold are an
            error, since another container would keep them.

    Raises:
        ValueError: The container cannot hold a stream that another one could.
    """
    plans = [_plan_stream(stream, suffix, source) for stream in source.streams]
    for plan in plans:
        kept_elsewhere = (
            plan.action == "drop"
            and plan.stream.kind == "subtitle"
            and _plan_stream(plan.stream, ".mkv", source).action != "drop"
        )
        if kept_elsewhere and named:
            raise ValueError(
                f"a {suffix} file cannot hold {plan.stream} of {shown(source.path)}; name the "
                "result .mkv"
            )
    return plans


def _plan_stream(stream: StreamInfo, suffix: str, source: SourceInfo) -> StreamPlan:
    if stream.codec == UNKNOWN and stream.kind != "attachment":
        return StreamPlan(stream, "drop", reason="its format is not known here")
    if stream.kind == "attachment":
        if suffix == ".mkv":
            return StreamPlan(stream, "copy")
        return StreamPlan(stream, "drop", reason=f"{suffix} files have no attachments")
    if stream.kind == "data":
        return StreamPlan(stream, "drop", reason="data streams are not copied")
    if stream.kind == "video":
        return StreamPlan(stream, "drop", reason="only the first video stream is upscaled")
    if stream.kind == "cover":
        able = suffix in (".mp4", ".mkv") and stream.codec in COVERS
        reason = "" if able else f"{suffix} files cannot hold it"
        return StreamPlan(stream, "copy" if able else "drop", reason=reason)
    if can_hold(suffix, stream.codec) and accepts(suffix, source, stream.index):
        return StreamPlan(stream, "copy")
    if stream.codec in TEXT_SUBTITLES:
        return StreamPlan(stream, "convert", codec=CONVERTED[suffix])
    if stream.kind == "audio":
        return StreamPlan(stream, "convert", codec=CONVERTED_SOUND[suffix])
    return StreamPlan(stream, "drop", reason=f"{suffix} files cannot hold it")


def accepts(suffix: str, source: SourceInfo, index: int) -> bool:
    """Whether a container's writer takes a stream, which its table alone does not tell.

    A header is written to memory with a video stream and this one.
    """
    video = "libvpx-vp9" if suffix == ".webm" else "libx264"
    with (
        open_input(source.path, source.options.limits) as container,
        open_buffer(io.BytesIO(), "w", format=format_name(suffix)) as out,
    ):
        out.add_stream(video, rate=25)
        try:
            out.add_stream_from_template(container.streams[index], opaque=True)
            out.start_encoding()
        except (FFmpegError, ValueError):
            return False
    return True
