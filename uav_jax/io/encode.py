"""Frames to video: segment by segment into small files, which are then joined as they are.

A segment's file counts frames instead of seconds and is written whole or not at all, so a run that
was killed goes on with the next one, and the joined file is the same byte for byte. Audio,
subtitles, chapters and metadata of the source are copied when the segments are joined.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import Float

from uav_jax.io.source import SourceInfo
from uav_jax.io.video import MP4_AUDIO

X264 = {"preset": "medium", "x264-params": "mbtree=0"}
"""Without x264's macroblock tree, which reads memory that nobody wrote: with it the same frames
came out as different files."""


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder, its pixel formats by bits of a colour, and how it is told of quality."""

    encoder: str
    formats: dict[int, str]
    containers: tuple[str, ...]
    crf: int | None = None  # the default; None: the codec has no rate factor
    options: dict[str, str] = field(default_factory=dict)
    segments: str = "nut"  # the format of a segment's file

    @property
    def even(self) -> bool:
        """Whether its colours are at half resolution, which needs even sizes."""
        return any("420" in f or "422" in f for f in self.formats.values())


CODECS = {
    "h264": Codec("libx264", {8: "yuv420p", 10: "yuv420p10le"}, (".mp4", ".mkv", ".mov"), 15, X264),
    "h265": Codec(
        "libx265",
        {8: "yuv420p", 10: "yuv420p10le"},
        (".mp4", ".mkv", ".mov"),
        17,
        {"preset": "medium", "x265-params": "log-level=error:frame-threads=1"},
    ),
    "av1": Codec(
        "libsvtav1", {8: "yuv420p", 10: "yuv420p10le"}, (".mp4", ".mkv"), 22, {"preset": "8"}
    ),
    "prores": Codec(
        "prores_ks", {10: "yuv422p10le"}, (".mov", ".mkv"), None, {"profile": "3"}, "mov"
    ),
    "ffv1": Codec("ffv1", {8: "bgr0", 10: "gbrp10le"}, (".mkv",), None, {"level": "3"}),
}
"""By the name that users give. ``png`` is none of these: it writes a folder of frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFormat:
    """What to write. ``ValueError`` for what does not go together."""

    codec: str = "h264"
    crf: int | None = None  # None: the codec's default
    bits: int | None = None  # of a colour; None: as the source, at most 10
    images: bool = False  # frames as PNG too

    def __post_init__(self):
        if self.codec != "png" and self.codec not in CODECS:
            raise ValueError(f"codec {self.codec!r}; expected png, {', '.join(CODECS)}")
        if self.crf is not None and (self.codec == "png" or CODECS[self.codec].crf is None):
            raise ValueError(f"crf {self.crf} was given, but codec {self.codec} has no rate factor")
        if self.crf is not None and not 0 <= self.crf <= 51:
            raise ValueError(f"crf {self.crf} is outside 0..51")

    def depth(self, source_bits: int) -> int:
        """Bits of a colour in the result."""
        wanted = self.bits or source_bits
        formats = CODECS[self.codec].formats
        return wanted if wanted in formats else next(iter(formats))

    def check_container(self, path: Path) -> None:
        """``ValueError`` where a file of this name cannot hold the codec."""
        suffixes = CODECS[self.codec].containers
        if path.suffix.lower() not in suffixes:
            raise ValueError(
                f"{path}: codec {self.codec} goes into {', '.join(suffixes)}, not {path.suffix}"
            )

    def suffix(self, source: SourceInfo) -> str:
        """The container that holds this codec and the source's streams."""
        first = CODECS[self.codec].containers[0]
        plain = all(codec in MP4_AUDIO for codec in source.audio_codecs)
        plain &= all(codec in MP4_SUBTITLES for codec in source.subtitle_codecs)
        return first if plain or first == ".mkv" else ".mkv"


MP4_SUBTITLES = ("mov_text",)
"""Subtitle codecs that may be copied into mp4; others need mkv."""


def quantised(frames: Float[np.ndarray, "N H W 3"], bits: int, *, truncate: bool) -> np.ndarray:
    """[-1, 1] to whole numbers of 8 bits, of 16 for deeper results; ``truncate`` as published."""
    top, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    values = np.clip(frames * 0.5 + 0.5, 0, 1) * np.float32(top)
    return (values if truncate else np.rint(values)).astype(dtype)


def encode_segment(
    path: Path,
    frames: Iterable[np.ndarray],
    output: OutputFormat,
    depth: int,
    source: SourceInfo,
) -> None:
    """Encodes whole-number frames ``(H, W, 3)`` to one file, whose timestamps count them from 0.

    ``path`` appears when everything is in it.
    """
    temporary = path.with_name(f".{path.name}.partial")
    codec = CODECS[output.codec]
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder says errors only
    exact = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
    with av.open(str(temporary), "w", format=codec.segments, options=exact) as out:
        stream = None
        for number, image in enumerate(frames):
            if stream is None:
                stream = _add_stream(out, codec, output, depth, source, image.shape)
            frame = _frame(image, codec.formats[depth])
            frame.pts, frame.time_base = number, 1 / source.rate
            out.mux(stream.encode(frame))
        assert stream is not None, "a segment has frames"
        out.mux(stream.encode())
    temporary.replace(path)


def _add_stream(
    out, codec: Codec, output: OutputFormat, depth: int, source: SourceInfo, shape
) -> av.VideoStream:
    stream = out.add_stream(codec.encoder, rate=source.rate)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = codec.formats[depth]
    stream.time_base = 1 / source.rate
    context = stream.codec_context
    context.time_base = 1 / source.rate
    crf = codec.crf if output.crf is None else output.crf
    context.options = codec.options | ({} if crf is None else {"crf": str(crf)})
    if codec.encoder != "ffv1":  # which keeps RGB
        context.color_range, context.colorspace = 1, 1  # limited range, BT.709
        context.color_primaries, context.color_trc = 1, 1
    if codec.encoder in ("libx265", "ffv1", "libsvtav1"):
        context.thread_count = 1 if codec.encoder == "ffv1" else 0
    return stream


def _frame(image: np.ndarray, pixel_format: str) -> av.VideoFrame:
    source_format = "rgb24" if image.dtype == np.uint8 else "rgb48le"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), source_format)
    if pixel_format.startswith("yuv"):
        frame = frame.reformat(format=pixel_format, dst_colorspace="ITU709", dst_color_range="MPEG")
    else:
        frame = frame.reformat(format=pixel_format)
    return frame


def _numbered(segments: Iterable[Path], source: SourceInfo) -> Iterator[tuple[int, av.Packet]]:
    """All packets in decoding order, each with the number of the frame that it shows."""
    first = 0
    for path in segments:
        with av.open(str(path)) as container:
            stream, count = container.streams.video[0], 0
            for packet in container.demux(stream):
                if packet.size:
                    assert packet.pts is not None and stream.time_base is not None
                    count += 1
                    yield first + round(packet.pts * stream.time_base * source.rate), packet
        first += count


def _timed(segments: list[Path], source: SourceInfo) -> Iterator[av.Packet]:
    """All packets with the source's times, and decoding times that rise.

    The k-th packet is decoded when frame k - delay is shown, so that none is shown before it is
    decoded.
    """
    numbers = [number for number, _ in _numbered(segments, source)]
    delay = max(position - number for position, number in enumerate(numbers))
    step = max(1, round(1 / source.rate / source.time_base))
    pts = source.pts
    for position, (number, packet) in enumerate(_numbered(segments, source)):
        early = pts[0] - (delay - position) * step
        packet.time_base = source.time_base
        packet.pts, packet.duration = pts[number], source.durations[number]
        packet.dts = pts[position - delay] if position >= delay else early
        yield packet


def join(target: Path, segments: list[Path], source: SourceInfo, *, comment: str = "") -> None:
    """Joins segments and the source's other streams into ``target``, which appears when whole.

    ``ValueError`` where the container cannot hold a stream.
    """
    temporary = target.with_name(f".{target.stem}.partial{target.suffix}")
    try:
        _join(temporary, segments, source, comment)
    except (FFmpegError, ValueError) as error:
        temporary.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot write {target}: {reason}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(target)


def _join(path: Path, segments: list[Path], source: SourceInfo, comment: str) -> None:
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as out:
        with av.open(str(segments[0])) as first:
            video = out.add_stream_from_template(first.streams.video[0], opaque=True)
            video.time_base = source.time_base
        out.metadata.update(source.metadata)
        if comment:  # beside a comment that the source has
            out.metadata["description" if "comment" in source.metadata else "comment"] = comment
        if source.is_folder:
            _mux(out, video, segments, source, None, {})
            return
        with av.open(str(source.path)) as other:
            others = (*other.streams.audio, *other.streams.subtitles)
            copied = [s for s in others if s.codec_context is not None]
            added = {s.index: out.add_stream_from_template(s, opaque=True) for s in copied}
            for s in copied:
                added[s.index].metadata.update(s.metadata)
            if chapters := other.chapters():
                out.set_chapters(chapters)
            _mux(out, video, segments, source, other.demux(copied) if copied else None, added)


def _mux(out, video, segments, source: SourceInfo, others, added: dict) -> None:
    """Interleaves the video with the packets of the other streams by time."""
    waiting = None

    def copy(until: float) -> None:
        nonlocal waiting
        while others is not None:
            packet = waiting or next(others, None)
            waiting = None
            if packet is None:
                return
            if packet.dts is None:
                continue
            if float(packet.dts * packet.time_base) > until:
                waiting = packet
                return
            packet.stream = added[packet.stream.index]
            out.mux(packet)

    for packet in _timed(segments, source):
        copy(float((packet.pts or 0) * source.time_base))
        packet.stream = video
        out.mux(packet)
    copy(float("inf"))


def rounded_size(height: int, width: int, codec: str) -> tuple[int, int]:
    """The size that a codec can hold: even where its colours are at half resolution."""
    if codec == "png" or not CODECS[codec].even:
        return height, width
    return height + height % 2, width + width % 2
