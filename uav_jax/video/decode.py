"""Decoding: from packets to RGB pixels, the same for upscaling, training and evaluation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import av
from av.error import EOFError as NothingMore
from av.error import FFmpegError
from av.stream import Disposition

from uav_jax.video.color import (
    DEINTERLACE,
    FrameFilter,
    Pixels,
    over_black,
    to_pixels,
    tonemap_filters,
)
from uav_jax.video.containers import MEDIA_ERRORS, open_input, shown, unreadable
from uav_jax.video.headers import ANIMATIONS
from uav_jax.video.limits import DEFAULT_LIMITS, MediaLimits
from uav_jax.video.orientation import Orientation

MOST_FAILURES = 64
"""Decode errors that are accepted while a decoder is drained: as many as it can hold frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameConversion:
    """What is done to every decoded frame, in this order."""

    deinterlace: bool = False
    tonemap: bool = False
    deep: bool = False  # 16 bits per channel instead of 8
    alpha: bool = False  # the source has alpha
    keep_alpha: bool = False  # as a fourth channel; else composited over black
    orientation: Orientation = field(default_factory=Orientation)


def picture_stream(container, path: Path, limits: MediaLimits = DEFAULT_LIMITS) -> av.VideoStream:
    """Returns the first stream of moving pictures (a cover picture is none).

    Its decoder refuses frames of more pixels than the file may have, also where they come later.

    Raises:
        ValueError: There is none, no decoder for it, or it declares too large a size.
    """
    streams = [s for s in container.streams.video if Disposition.attached_pic not in s.disposition]
    if not streams:
        raise ValueError(f"{shown(path)} has no video stream")
    if streams[0].codec_context is None:
        raise ValueError(f"{shown(path)} is in a codec that cannot be decoded here")
    kind = "animation" if container.format.name in ANIMATIONS else "video"
    limits.check_size(shown(path), streams[0].width, streams[0].height, kind)
    # The rate is that of all samples; the duration may be that of a short edit.
    seconds = streams[0].frames / (streams[0].average_rate or 1)
    limits.check_declared(shown(path), streams[0].frames, float(seconds))
    streams[0].codec_context.options = {"max_pixels": f"{limits.pixels(kind)}"}
    streams[0].thread_type = "SLICE"  # threads over frames lose whole frames around a damaged one
    return streams[0]


def decode_packet(packet: av.Packet) -> tuple[list[av.VideoFrame], int]:
    """Returns the frames that a packet completes, and how many failures were passed over.

    The last packet is empty and asks for the frames that the decoder still holds; those behind a
    damaged one come when it is asked again.
    """
    failures, frames = 0, []
    while failures < MOST_FAILURES:
        try:
            frames += packet.decode()
            break
        except FFmpegError as error:
            if isinstance(error, NothingMore) or _repeats_a_frame(packet):
                break
            failures += 1
            if packet.size:
                break
    return frames, failures


def _repeats_a_frame(packet: av.Packet) -> bool:
    """Whether a packet is empty but has a time, as Theora's for "the same picture again"."""
    return not packet.size and packet.pts is not None


def raw_frames(
    path: Path, seek_to: int | None = None, limits: MediaLimits = DEFAULT_LIMITS
) -> Iterator[av.VideoFrame]:
    """Decodes a video's pictures from the keyframe at or before the timestamp `seek_to`.

    Raises:
        ValueError: The file cannot be read.
    """
    with open_input(path, limits) as container:
        stream = picture_stream(container, path, limits)
        try:
            if seek_to is not None:
                container.seek(seek_to, stream=stream)
            for packet in container.demux(stream):
                yield from decode_packet(packet)[0]
        except MEDIA_ERRORS as error:
            raise unreadable(path, error) from error


def convert_frames(
    frames: Iterable[av.VideoFrame], conversion: FrameConversion
) -> Iterator[Pixels]:
    """Converts decoded frames to upright RGB, one for each."""
    for frame in _filtered(iter(frames), conversion):
        pixels = to_pixels(frame, deep=conversion.deep, alpha=conversion.alpha)
        if conversion.alpha and not conversion.keep_alpha:
            pixels = over_black(pixels)
        yield conversion.orientation.apply(pixels)


def _filtered(
    frames: Iterator[av.VideoFrame], conversion: FrameConversion
) -> Iterator[av.VideoFrame]:
    if not (conversion.deinterlace or conversion.tonemap):
        yield from frames
        return
    first = next(frames, None)
    if first is None:
        return
    filters = list(DEINTERLACE) if conversion.deinterlace else []
    filters += tonemap_filters(first) if conversion.tonemap else []
    chain = FrameFilter(first, filters)
    yield from chain.push(first)
    for frame in frames:
        yield from chain.push(frame)
    yield from chain.push(None)


def read_pixels(
    path: Path,
    conversion: FrameConversion,
    *,
    seek_to: int | None = None,
    first: int = 0,
    count: int,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> Iterator[Pixels]:
    """Decodes `count` frames, leaving out `first` ones behind the position `seek_to`.

    Raises:
        ValueError: The file cannot be read, or changed since it was probed.
    """
    frames = islice(raw_frames(path, seek_to, limits), first, first + count)
    found = 0
    try:
        for pixels in convert_frames(frames, conversion):
            found += 1
            yield pixels
    except MEDIA_ERRORS as error:
        raise unreadable(path, error) from error
    if found != count:
        raise ValueError(f"{shown(path)} gives {found} frames where {count} were counted")
