"""Video files through PyAV: frames with their timestamps in, frames and untouched audio out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import UInt8

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".gif")
MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
"""Audio codecs that may be copied into mp4; others need mkv."""

UNKNOWN = "unknown"

DEFAULT_RATE = Fraction(25)
TRUNCATION_SECONDS = 0.5
"""A file whose streams end this much before its declared end is taken for truncated."""


@dataclass(kw_only=True, slots=True)
class Clip:
    """Decoded frames and what belongs to them.

    ``pts`` and ``durations`` count in units of ``time_base`` seconds.
    """

    frames: UInt8[np.ndarray, "T H W 3"]
    pts: list[int]
    durations: list[int]
    time_base: Fraction
    rate: Fraction
    source: Path
    has_audio: bool = False
    audio_codecs: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


def to_rgb24(frame: av.VideoFrame) -> UInt8[np.ndarray, "H W 3"]:
    """A decoded frame in RGB; pictures of 720 lines and more that do not say are BT.709."""
    unspecified = int(frame.colorspace) == 2 and frame.format.name.startswith("yuv")
    if unspecified and frame.height >= 720:
        return frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
    return frame.to_ndarray(format="rgb24")


def rotated(image: np.ndarray, degrees: int) -> np.ndarray:
    """Counter-clockwise rotation by a display matrix's multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(image, round(degrees / 90) % 4))


def read_video(path: Path) -> Clip:
    """Every frame of a video's first picture stream, rotated as its metadata says.

    Raises ``ValueError`` for files that are missing, no video, damaged, truncated or empty.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    try:
        with av.open(str(path)) as container:
            return _read(container, path)
    except FFmpegError as error:
        raise ValueError(f"{path} cannot be read as a video: {error.strerror}") from error


def stream_video(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames of a video one by one, as ``read_video`` has them; ``ValueError`` likewise."""
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(picture_stream(container, path)):
                yield rotated(to_rgb24(frame), frame.rotation)
    except FFmpegError as error:
        raise ValueError(f"{path} cannot be read as a video: {error.strerror}") from error


def picture_stream(container, path: Path):
    """The first stream of moving pictures."""
    streams = [s for s in container.streams.video if "attached_pic" not in str(s.disposition)]
    if not streams:
        raise ValueError(f"{path} has no video stream")
    if streams[0].codec_context is None:
        raise ValueError(f"{path} is in a codec that is not known here")
    streams[0].thread_type = "SLICE"  # threads over frames lose whole frames around a damaged one
    return streams[0]


def _read(container, path: Path) -> Clip:
    stream = picture_stream(container, path)
    frames, pts, durations, packets, end = [], [], [], 0, 0.0
    for packet in container.demux(stream, *container.streams.audio):
        if packet.pts is not None and packet.size:
            seconds = (packet.pts + (packet.duration or 0)) * float(packet.time_base)
            end = max(end, seconds)
        if packet.stream is not stream:
            continue
        packets += bool(packet.size)
        for frame in packet.decode():
            frames.append(rotated(to_rgb24(frame), frame.rotation))
            pts.append(frame.pts)
            durations.append(frame.duration or 0)
    if not frames:
        raise ValueError(f"{path} has no decodable frame")
    if stream.frames and packets < stream.frames:
        raise ValueError(f"{path} is truncated: {packets} of {stream.frames} frames are there")
    declared = (container.duration or 0) / av.time_base
    if (
        declared
        and end < declared + (container.start_time or 0) / av.time_base - TRUNCATION_SECONDS
    ):
        raise ValueError(f"{path} is truncated: it ends at {end:.2f} s of {declared:.2f} s")
    rate = stream.guessed_rate or stream.average_rate or DEFAULT_RATE
    pts, time_base = even_times(pts, Fraction(stream.time_base or 1 / rate), Fraction(rate))
    return Clip(
        frames=np.stack(frames),
        pts=pts,
        durations=durations,
        time_base=time_base,
        rate=Fraction(rate),
        source=path,
        has_audio=bool(container.streams.audio),
        audio_codecs=tuple(map(codec_name, container.streams.audio)),
        metadata=dict(container.metadata),
    )


def codec_name(stream) -> str:
    """Of a stream; "unknown" where there is no decoder for it."""
    return stream.codec_context.name if stream.codec_context else UNKNOWN


def even_times(pts: list, time_base: Fraction, rate: Fraction) -> tuple[list[int], Fraction]:
    """Timestamps as they are where they rise; evenly spaced ones where they are missing or fall."""
    known = all(p is not None for p in pts)
    if known and all(a < b for a, b in pairwise(pts)):
        return pts, time_base
    return list(range(len(pts))), 1 / rate


class VideoWriter:
    """Writes H.264 video with the timestamps and the audio packets of a source clip.

    The file appears under its name only when ``close`` succeeds; ``abort`` removes what there is.
    ``comment`` is stored in its metadata.
    """

    def __init__(
        self, path: Path, clip: Clip, height: int, width: int, *, crf: int = 15, comment: str = ""
    ):
        self._path = path
        self._comment = comment
        self._temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
        self._clip = clip
        self._next = 0
        self._audio = None
        try:
            self._open(height, width, crf)
        except FFmpegError as error:
            self.abort()
            raise ValueError(f"cannot write {path}: {error.strerror}") from error

    def _open(self, height: int, width: int, crf: int) -> None:
        clip = self._clip
        self._out = av.open(str(self._temporary), "w")
        stream = self._out.add_stream("libx264", rate=clip.rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = clip.time_base
        context = stream.codec_context
        context.time_base = clip.time_base
        # Without x264's macroblock tree, which reads memory that nobody wrote: with it the same
        # frames came out as different files.
        context.options = {"crf": str(crf), "preset": "medium", "x264-params": "mbtree=0"}
        context.color_range, context.colorspace = 1, 1  # limited range, BT.709
        context.color_primaries, context.color_trc = 1, 1
        self._stream = stream
        self._out.metadata.update(clip.metadata)
        if self._comment:  # beside a comment that the source has
            key = "description" if "comment" in clip.metadata else "comment"
            self._out.metadata[key] = self._comment
        if clip.has_audio:
            self._source = av.open(str(clip.source))
            self._audio = {
                s.index: self._out.add_stream_from_template(s) for s in self._source.streams.audio
            }
            self._packets = self._source.demux(*self._source.streams.audio)
            self._pending = None
        self._out.start_encoding()

    def write(self, frames: UInt8[np.ndarray, "N H W 3"]) -> None:
        """The next frames of the clip."""
        for image in frames:
            index = self._next
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = self._clip.pts[index], self._clip.time_base
            self._mux_audio(float(frame.pts * frame.time_base))
            self._out.mux(self._timed(self._stream.encode(frame)))
            self._next += 1

    def _timed(self, packets: Iterable) -> list:
        """Packets with the source's frame durations, so that the last frame keeps its length."""
        durations = dict(zip(self._clip.pts, self._clip.durations, strict=True))
        packets = list(packets)
        for packet in packets:
            if not packet.duration and packet.time_base == self._clip.time_base:
                packet.duration = durations.get(packet.pts, 0)
        return packets

    def _mux_audio(self, until: float) -> None:
        """Copies audio packets that start before ``until`` seconds."""
        if self._audio is None:
            return
        while True:
            packet = self._pending or next(self._packets, None)
            self._pending = None
            if packet is None:
                return
            if packet.dts is None:
                continue
            if float(packet.dts * packet.time_base) > until:
                self._pending = packet
                return
            packet.stream = self._audio[packet.stream.index]
            self._out.mux(packet)

    def close(self) -> None:
        """Finishes the file and gives it its name."""
        assert self._next == len(self._clip.frames), "every frame of the clip must be written"
        self._out.mux(self._timed(self._stream.encode()))
        self._mux_audio(float("inf"))
        self._out.close()
        if self._audio is not None:
            self._source.close()
        self._temporary.replace(self._path)

    def abort(self) -> None:
        """Removes the unfinished file."""
        if hasattr(self, "_out"):
            self._out.close()
        self._temporary.unlink(missing_ok=True)
