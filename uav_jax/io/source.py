"""A video or a folder of frames that is read as a stream, however long it is.

``scan`` decodes it once, keeps nothing of the pictures but how much each differs from the last, and
learns what only decoding tells: how many frames there are, when each is shown, whether the file is
whole. ``SourceInfo.stream`` then gives the frames one by one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

from uav_jax.io.frames import IMAGE_SUFFIXES, image_files, read_frame
from uav_jax.io.scenes import ChangeMeter
from uav_jax.io.video import (
    DEFAULT_RATE,
    TRUNCATION_SECONDS,
    codec_name,
    even_times,
    picture_stream,
    rotated,
    to_rgb24,
)

HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG", "16": "PQ", "18": "HLG"}
"""Transfer functions of high dynamic range, by FFmpeg's name or number."""

MOST_FAILURES = 64
"""Of a decoder that is asked for the frames it still holds: as many as it can hold."""

Watch = Callable[[int], None]
"""Told of every frame that was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """What ``scan`` found; ``pts`` and ``durations`` count in units of ``time_base`` seconds."""

    path: Path
    height: int
    width: int
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    time_base: Fraction
    rate: Fraction
    bits: int = 8  # of a colour
    audio_codecs: tuple[str, ...] = ()
    subtitle_codecs: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    changes: tuple[float, ...] = ()  # of every frame against the last
    damaged: int = 0  # packets that could not be decoded and were passed over

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.pts)

    @property
    def is_folder(self) -> bool:
        """Whether the frames are image files."""
        return self.path.is_dir()

    def stream(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames one by one, as ``scan`` counted them."""
        if self.is_folder:
            yield from map(read_frame, image_files(self.path))
            return
        with av.open(str(self.path)) as container:
            stream = picture_stream(container, self.path)
            for packet in container.demux(stream):
                yield from map(_upright, _decoded(packet)[0])


def _upright(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    return rotated(to_rgb24(frame), frame.rotation)


def _decoded(packet: av.Packet) -> tuple[list[av.VideoFrame], int]:
    """The frames that a packet completes, and how many failures were passed over.

    The last packet is empty and asks for the frames that the decoder still holds; those behind a
    damaged one come when it is asked again.
    """
    failures, frames = 0, []
    while failures < MOST_FAILURES:
        try:
            frames += packet.decode()
            break
        except EOFError:
            break
        except FFmpegError:
            failures += 1
            if packet.size:
                break
    return frames, failures


def _silent(_: int) -> None:
    pass


def scan(path: Path, watch: Watch = _silent) -> SourceInfo:
    """Reads a video file or a folder of images once.

    ``ValueError`` for what is missing, no video, truncated, empty or high dynamic range, and for
    images that cannot be read or differ in size.
    """
    if path.is_dir():
        return _scan_folder(path, watch)
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    try:
        with av.open(str(path)) as container:
            return _scan_file(container, path, watch)
    except FFmpegError as error:
        raise ValueError(f"{path} cannot be read as a video: {error.strerror}") from error


def _scan_folder(folder: Path, watch: Watch) -> SourceInfo:
    files = image_files(folder)
    if not files:
        raise ValueError(f"{folder} holds no video and no image ({', '.join(IMAGE_SUFFIXES)})")
    meter, shape = ChangeMeter(), None
    for number, path in enumerate(files):
        image = read_frame(path)
        shape = shape or image.shape
        if image.shape != shape:
            sizes = ["x".join(map(str, s[1::-1])) for s in (image.shape, shape)]
            raise ValueError(
                f"{path} is {sizes[0]}, but {files[0].name} is {sizes[1]}; all frames of a folder "
                "must have one size"
            )
        meter.add(image)
        watch(number + 1)
    assert shape is not None
    return SourceInfo(
        path=folder,
        height=shape[0],
        width=shape[1],
        pts=tuple(range(len(files))),
        durations=(1,) * len(files),
        time_base=1 / DEFAULT_RATE,
        rate=DEFAULT_RATE,
        changes=tuple(meter.changes),
    )


def _refuse_hdr(path: Path, stream) -> None:
    transfer = str(stream.codec_context.color_trc)
    if transfer in HDR:
        raise ValueError(
            f"{path} is high dynamic range ({HDR[transfer]}), which would come out wrong; convert "
            "it to standard dynamic range first (ffmpeg's zscale and tonemap filters)"
        )


def _scan_file(container, path: Path, watch: Watch) -> SourceInfo:
    stream = picture_stream(container, path)
    _refuse_hdr(path, stream)
    meter, pts, durations = ChangeMeter(), [], []
    shape, packets, damaged, end, bits = None, 0, 0, 0.0, 8
    for packet in container.demux(stream, *container.streams.audio):
        if packet.pts is not None and packet.size:
            end = max(end, (packet.pts + (packet.duration or 0)) * float(packet.time_base))
        if packet.stream is not stream:
            continue
        packets += bool(packet.size)
        found, failures = _decoded(packet)
        damaged += failures
        for frame in found:
            image = _upright(frame)
            shape = shape or image.shape
            if image.shape != shape:
                raise ValueError(
                    f"{path} changes its size from {shape[1]}x{shape[0]} to "
                    f"{image.shape[1]}x{image.shape[0]} at frame {len(pts) + 1}; cut it there first"
                )
            bits = max(bits, min(10, frame.format.components[0].bits))
            meter.add(image)
            pts.append(frame.pts)
            durations.append(frame.duration or 0)
            watch(len(pts))
    if shape is None:
        raise ValueError(f"{path} has no decodable frame")
    _refuse_truncated(container, stream, path, packets, end)
    rate = Fraction(stream.guessed_rate or stream.average_rate or DEFAULT_RATE)
    pts, time_base = even_times(pts, Fraction(stream.time_base or 1 / rate), rate)
    return SourceInfo(
        path=path,
        height=shape[0],
        width=shape[1],
        pts=tuple(pts),
        durations=tuple(durations),
        time_base=time_base,
        rate=rate,
        bits=bits,
        audio_codecs=tuple(map(codec_name, container.streams.audio)),
        subtitle_codecs=tuple(map(codec_name, container.streams.subtitles)),
        metadata=dict(container.metadata),
        changes=tuple(meter.changes),
        damaged=damaged,
    )


def _refuse_truncated(container, stream, path: Path, packets: int, end: float) -> None:
    if stream.frames and packets < stream.frames:
        raise ValueError(f"{path} is truncated: {packets} of {stream.frames} frames are there")
    declared = (container.duration or 0) / av.time_base
    start = (container.start_time or 0) / av.time_base
    if declared and end < declared + start - TRUNCATION_SECONDS:
        raise ValueError(f"{path} is truncated: it ends at {end:.2f} s of {declared:.2f} s")


class FrameWindow:
    """Frames of a stream by number, read forward only; holds what was last asked for."""

    def __init__(self, info: SourceInfo):
        self._stream, self._held, self._next = info.stream(), {}, 0

    def frames(self, first: int, last: int) -> UInt8[np.ndarray, "N H W 3"]:
        """Frames ``first`` to ``last``; ``first`` must not fall from call to call."""
        self._held = {n: f for n, f in self._held.items() if n >= first}
        while self._next < last:
            frame = next(self._stream)
            if self._next >= first:
                self._held[self._next] = frame
            self._next += 1
        return np.stack([self._held[number] for number in range(first, last)])
