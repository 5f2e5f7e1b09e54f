"""Frames by number and by time, for those who do not want all of them in order."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from uav_jax.video.color import HDR, bit_depth, has_alpha, to_8_bit
from uav_jax.video.containers import MEDIA_ERRORS, open_input, shown, unreadable
from uav_jax.video.decode import FrameConversion, convert_frames, decode_packet, picture_stream
from uav_jax.video.images import image_files, read_picture
from uav_jax.video.limits import DEFAULT_LIMITS, DecodeMeter
from uav_jax.video.orientation import orientation
from uav_jax.video.probe import SEEKABLE, probe
from uav_jax.video.source import DEFAULT_RATE, SourceInfo

SEEK_MARGIN = 2.0
"""Seconds that decoding starts earlier in formats without an index, whose seeking is inexact."""


def read_frames(path: Path) -> UInt8[np.ndarray, "T H W 3"]:
    """Reads a whole video or folder of frames.

    Raises:
        ValueError: See `probe`.
    """
    return np.stack(list(stream_frames(path)))


def stream_frames(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Reads a video or folder of frames one by one, rounded to 8 bits.

    Raises:
        ValueError: See `probe`; for folders only when the frame in question is reached.
    """
    if path.is_dir():
        for file in image_files(path):
            yield to_8_bit(read_picture(file).opaque())
        return
    for frame in probe(path).stream():
        yield to_8_bit(frame)


def read_clip(
    path: Path, where: float, count: int, *, smallest: int = 1
) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Reads neighbouring frames from the middle of a video without reading the rest.

    Args:
        path: A video.
        where: Of the times at which a clip can begin, 0 (first) to 1 (last).
        count: How many frames.
        smallest: Pixels that both sides must have.

    Returns:
        `count` frames, equal to those that `SourceInfo.stream` gives, rounded to 8 bits.

    Raises:
        ValueError: It cannot be read, is smaller, changes its size, or ends too early.
    """
    with open_input(path) as container:
        try:
            raw = _raw_clip(container, path, where, count, smallest)
            return [to_8_bit(pixels) for pixels in convert_frames(raw, _conversion(raw))]
        except MEDIA_ERRORS as error:
            raise unreadable(path, error) from error


def _raw_clip(
    container, path: Path, where: float, count: int, smallest: int
) -> list[av.VideoFrame]:
    stream = picture_stream(container, path)
    stream.thread_type = "NONE"
    meter = DecodeMeter(shown(path), DEFAULT_LIMITS)
    if min(stream.height, stream.width) < smallest:
        raise ValueError(
            f"{shown(path)} is {stream.width}x{stream.height}, smaller than the crop {smallest}"
        )
    rate = float(stream.average_rate or DEFAULT_RATE)
    base = Fraction(stream.time_base or Fraction(1, 90000))
    seconds = (container.duration or 0) / av.time_base
    start = float((stream.start_time or 0) * base)
    start += where * max(0.0, seconds - (count + 1) / rate)
    margin = 0 if container.format.name in SEEKABLE else SEEK_MARGIN
    if start - margin > (stream.start_time or 0) * base:
        container.seek(int((start - margin) / base), stream=stream)
    kept: list[av.VideoFrame] = []
    for frame in _decoded(container, stream, meter):
        if frame.time is not None and frame.time < start - 0.5 / rate:
            continue
        if kept and (frame.height, frame.width) != (kept[0].height, kept[0].width):
            raise ValueError(f"{shown(path)} changes its size")
        kept.append(frame)
        if len(kept) == count:
            return kept
    raise ValueError(f"{shown(path)} ends {count - len(kept)} frames too early")


def _decoded(container, stream, meter: DecodeMeter) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        meter.packet()
        for frame in decode_packet(packet)[0]:
            if frame.time is not None:
                meter.frame(frame.width, frame.height, bit_depth(frame) > 8, frame.time)
            yield frame


def _conversion(frames: list[av.VideoFrame]) -> FrameConversion:
    """What `SourceInfo.conversion` would be, by these frames alone."""
    first = frames[0]
    if int(first.color_trc) in HDR:
        raise ValueError("high dynamic range; convert it to standard range first")
    return FrameConversion(
        deinterlace=2 * sum(bool(f.interlaced_frame) for f in frames) > len(frames),
        deep=max(map(bit_depth, frames)) > 8,
        alpha=has_alpha(first.format.name),
        orientation=orientation(first),
    )


class FrameWindow:
    """Frames of a source by number, read forward only; holds what was last asked for."""

    def __init__(self, info: SourceInfo, *, keep_alpha: bool = False):
        self._stream, self._held, self._next = info.stream(keep_alpha=keep_alpha), {}, 0

    def frames(self, first: int, last: int) -> np.ndarray:
        """Returns frames `first` to `last` as one array; `first` must not fall from call to call.

        Raises:
            ValueError: The source ends before `last`.
        """
        self._held = {n: f for n, f in self._held.items() if n >= first}
        skipped = max(0, first - self._next)
        for _ in islice(self._stream, skipped):
            self._next += 1
        while self._next < last:
            frame = next(self._stream, None)
            if frame is None:
                raise ValueError(f"the source has {self._next} frames, and {last} were asked for")
            self._held[self._next] = frame
            self._next += 1
        return np.stack([self._held[number] for number in range(first, last)])
