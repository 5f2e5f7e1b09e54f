"""Opens media containers. No other module calls `av.open`."""

import os
from pathlib import Path
from typing import IO, Any, Literal

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from uav_jax.video.headers import check_headers
from uav_jax.video.limits import DEFAULT_LIMITS, MediaLimits

VIDEO_SUFFIXES = (
    *(".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".gif", ".m2ts"),
    *(".mts", ".flv", ".f4v", ".wmv", ".asf", ".ogv", ".3gp", ".3g2", ".vob", ".mxf", ".nut"),
    *(".dv", ".y4m", ".m2v", ".divx", ".qt", ".ivf", ".rm", ".rmvb"),
)
"""File names that are taken for videos inside folders."""

OUTPUT_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm")
"""Containers that can be written."""

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif,flv,live_flv,asf,ogg,m4v,"
    "h264,hevc,mxf,nut,dv,rm,yuv4mpegpipe,ivf,obu,av1,wtv,mjpeg,apng,vc1,vc1test,swf,webp_pipe"
)
"""FFmpeg's readers for media that lie in one file: none that opens other files or addresses."""

SAFE = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
BYTE_EXACT = {"fflags": "+bitexact"}

MEDIA_ERRORS = (
    *(FFmpegError, UnicodeError, AttributeError, LookupError, TypeError, ArithmeticError, EOFError),
)
"""What PyAV raises at damaged files: its own errors, and those of Python about values in them."""


def file_url(path: Path) -> str:
    """Returns a path as FFmpeg takes it literally, whatever colons are in it."""
    return f"file:{os.fspath(path)}"


def open_input(path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> InputContainer:
    """Opens a media file for reading.

    Args:
        path: A video.
        limits: Of sizes and counts that its headers declare.

    Raises:
        ValueError: It is missing, not a regular file, empty, in no known format, or above a limit.
    """
    check_regular_file(path)
    pixels = check_headers(path, shown(path), limits)
    options = SAFE | {"max_pixels": f"{pixels}", "max_streams": f"{limits.streams + 1}"}
    try:
        container = av.open(file_url(path), options=options, metadata_errors="surrogateescape")
    except MEDIA_ERRORS as error:
        raise unreadable(path, error) from error
    try:
        limits.check_streams(shown(path), len(container.streams))
    except ValueError:
        container.close()
        raise
    return container


def unreadable(path: Path, error: Exception) -> ValueError:
    """Returns the message for a file that FFmpeg cannot read."""
    reason = getattr(error, "strerror", None) or error
    if not isinstance(error, FFmpegError):
        reason = f"{type(error).__name__}: {error}"
    return ValueError(f"{shown(path)} cannot be read as a video: {reason}")


def readable_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Returns a file's tags as text; bytes that are not UTF-8 are taken for Windows-1252."""

    def text(value: str) -> str:
        data = value.encode("utf-8", "surrogateescape")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("cp1252", "replace")

    return {text(name): text(value) for name, value in metadata.items()}


def shown(path: Path | str) -> str:
    """Returns a path as it can be printed: other encodings and line breaks are escaped."""
    text = os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_regular_file(path: Path) -> None:
    """Raises `ValueError` for what cannot be a media file: missing, FIFO, device, empty."""
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f"{shown(path)} is a link to {shown(os.readlink(path))}, which does not exist"
        )
    if not path.exists():
        raise ValueError(f"{shown(path)} does not exist")
    if not path.is_file():
        kinds = {"is_fifo": "a FIFO", "is_socket": "a socket", "is_dir": "a folder"}
        kind = next((text for name, text in kinds.items() if getattr(path, name)()), "a device")
        raise ValueError(f"{shown(path)} is {kind}; expected a regular file")
    if path.stat().st_size == 0:
        raise ValueError(f"{shown(path)} is empty (0 bytes)")


def open_output(path: Path, *, options: dict[str, str] | None = None, **kwargs) -> OutputContainer:
    """Opens a container for writing; `kwargs` are PyAV's (`format`, ...)."""
    return av.open(file_url(path), "w", options=options or {}, **kwargs)


def open_buffer(buffer: IO[bytes], mode: Literal["r", "w"], **kwargs) -> Any:
    """Opens a container in memory for reading or writing."""
    return av.open(buffer, mode, **kwargs)


def format_name(suffix: str) -> str:
    """Returns FFmpeg's name of the container that files of a suffix are."""
    return {".mkv": "matroska", ".webm": "webm", ".mov": "mov"}.get(suffix.lower(), "mp4")
