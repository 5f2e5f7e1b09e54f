"""Reads a source through once and keeps nothing of the pictures but what must be known.

Only decoding tells how many frames there are, when each is shown, and whether the file is whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from uav_jax.video.clock import Clock
from uav_jax.video.color import HDR, ColorTags, bit_depth, has_alpha, output_tags
from uav_jax.video.containers import (
    MEDIA_ERRORS,
    open_input,
    readable_tags,
    shown,
    unreadable,
)
from uav_jax.video.decode import decode_packet, picture_stream
from uav_jax.video.image_sequence import probe_images
from uav_jax.video.images import IMAGE_SUFFIXES, image_files
from uav_jax.video.limits import DecodeMeter
from uav_jax.video.orientation import Orientation, orientation
from uav_jax.video.scenes import THUMBNAIL_SIZE, ChangeMeter
from uav_jax.video.source import (
    DEFAULT_RATE,
    UNKNOWN,
    ReadOptions,
    SourceInfo,
    StreamInfo,
)
from uav_jax.video.truncation import DURATION_TOLERANCE_SECONDS, declared_size

SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
"""Formats whose index can be trusted to find the keyframe before a time."""

SMALL = 128 * 128
"""Pixels up to which a frame is reduced by Pillow instead of FFmpeg, which distorts tiny ones."""


Watch = Callable[[int], None]
"""Told of every frame that was read."""


def probe(
    path: Path, options: ReadOptions | None = None, watch: Watch = lambda count: None
) -> SourceInfo:
    """Reads a video, a folder of frames or a picture through once.

    Args:
        path: A file or folder.
        options: How it is read; part of the result.
        watch: Called with the number of frames read so far.

    Raises:
        ValueError: It is missing, damaged, truncated, empty, changes its size, or is of high
            dynamic range or above a limit where that was not allowed for.
    """
    options = options or ReadOptions()
    if path.is_dir():
        return probe_images(path, image_files(path), options, watch)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return probe_images(path, [path], options, watch)
    with open_input(path, options.limits) as container:
        try:
            return _VideoProbe(container, path, options, watch).run()
        except MEDIA_ERRORS as error:
            raise unreadable(path, error) from error


def canonical_codec(stream) -> str:
    """Returns the name of a stream's format, such as "mp3"; "unknown" without a decoder."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else UNKNOWN


def _other_streams(container, pictures) -> tuple[StreamInfo, ...]:
    def kind(stream) -> str:
        is_cover = Disposition.attached_pic in stream.disposition
        return "cover" if is_cover else stream.type or UNKNOWN

    return tuple(
        StreamInfo(index=s.index, kind=kind(s), codec=canonical_codec(s))
        for s in container.streams
        if s is not pictures
    )


@dataclass(slots=True)
class _Found:
    """What the frames of the part told."""

    pts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    recordings: list[int] = field(default_factory=list)
    meter: ChangeMeter = field(default_factory=ChangeMeter)
    bits: int = 8
    alpha: bool = False
    flagged_interlaced: int = 0
    colors: ColorTags | None = None
    size: tuple[int, int] | None = None
    orientation: Orientation = field(default_factory=Orientation)
    damaged: int = 0
    before: int = 0  # frames in front of the part
    end: Fraction = Fraction(0)  # of the last packet of any stream
    complete: bool = True  # the file was read to its end


class _VideoProbe:
    """Probes one open container."""

    def __init__(self, container, path: Path, options: ReadOptions, watch: Callable[[int], None]):
        self.container, self.path, self.options, self.watch = container, path, options, watch
        self.stream = picture_stream(container, path, options.limits)
        self.meter = DecodeMeter(shown(path), options.limits)
        self.reformatter = VideoReformatter()
        self.clock = Clock(container.format.name)
        self.base = Fraction(self.stream.time_base or Fraction(1, 90000))
        self.rate = Fraction(
            self.stream.guessed_rate or self.stream.average_rate or DEFAULT_RATE
        ).limit_denominator(1_000_000)
        self.zero = self._start()
        self.found = _Found()

    def _start(self) -> Fraction:
        """The time that a player calls 0: where the file starts, in seconds."""
        own = Fraction(self.stream.start_time or 0) * self.base
        if self.container.start_time is None:
            return own
        start = Fraction(self.container.start_time, av.time_base)
        return own if abs(own - start) < Fraction(1, 1000) else start

    @property
    def recordings(self) -> int:
        """How many recordings were joined to this file."""
        return len(self.clock.offsets(self.stream.index))

    def run(self) -> SourceInfo:
        """Reads the file, from its start where seeking may have passed the part's first frame."""
        seek_to = self._seek()
        self._read()
        if seek_to is not None and not self.found.before:
            seek_to, self.found = None, _Found()
            self.clock = Clock(self.container.format.name)
            self.meter = DecodeMeter(self.meter.name, self.meter.limits)
            self.container.seek(0)
            self._read()
        self._check_found()
        return self._result(seek_to)

    def _read(self) -> None:
        others = [*self.container.streams.audio, *self.container.streams.subtitles]
        wanted = [s for s in others if s.codec_context is not None]
        for packet in self.container.demux(self.stream, *wanted):
            self.meter.packet()
            self._note_end(packet)
            if packet.stream is not self.stream:
                self._note_other(packet)
            elif not self._take(packet):
                self.found.complete = False
                break

    def _seek(self) -> int | None:
        """Moves to the keyframe before the part, where that is exact; returns where to."""
        start, stop = self.options.part.start, self.options.part.stop
        exact = self.container.format.name in SEEKABLE
        counted = stop is not None and stop.frame is not None  # frames count from the start
        if start is None or start.seconds is None or not exact or counted or start.seconds < 10:
            return None
        target = int((self.zero + start.seconds) / self.base)
        self.container.seek(target, stream=self.stream)
        return target

    def _note_end(self, packet: av.Packet) -> None:
        if packet.pts is not None and packet.size:
            end = (packet.pts + (packet.duration or 0)) * Fraction(packet.time_base)
            self.found.end = max(self.found.end, end)

    def _note_other(self, packet: av.Packet) -> None:
        if packet.pts is not None and packet.size:
            start = packet.pts * Fraction(packet.time_base)
            length = (packet.duration or 0) * Fraction(packet.time_base)
            self.clock.recording(packet.stream.index, start, start + length)

    def _take(self, packet: av.Packet) -> bool:
        """Decodes a packet; False behind the end of the part."""
        frames, failures = decode_packet(packet)
        self.found.damaged += failures
        for frame in frames:
            number = self.found.before + len(self.found.pts)
            recording = self._recording(frame)
            seconds = self._seconds(frame, number, recording)
            self.meter.frame(frame.width, frame.height, bit_depth(frame) > 8, float(seconds))
            part = self.options.part
            if part.stop is not None and part.stop.reached(number, seconds):
                return False
            if not self.found.pts and part.start and not part.start.reached(number, seconds):
                self.found.before += 1
                self.watch(number + 1)
                continue
            self._add(frame, recording)
            self.watch(number + 1)
        return True

    def _recording(self, frame: av.VideoFrame) -> int:
        if frame.pts is None:
            return 0
        start = frame.pts * self.base
        length = (frame.duration or 0) * self.base or 1 / self.rate
        return self.clock.recording(self.stream.index, start, start + length)

    def _seconds(self, frame: av.VideoFrame, number: int, recording: int) -> Fraction:
        """When a frame is shown, counted from the start of the (joined) file."""
        if frame.pts is None:
            return number / self.rate
        moved = self.clock.offsets(self.stream.index)[recording] if recording else Fraction(0)
        return frame.pts * self.base - self.zero + moved

    def _add(self, frame: av.VideoFrame, recording: int) -> None:
        found = self.found
        if found.size is None:
            self._first(frame)
        elif found.size != (frame.height, frame.width):
            height, width = found.size
            raise ValueError(
                f"{shown(self.path)} changes its size from {width}x{height} to "
                f"{frame.width}x{frame.height} at frame {len(found.pts) + 1}; cut it there first"
            )
        found.bits = max(found.bits, bit_depth(frame))
        found.flagged_interlaced += bool(frame.interlaced_frame)
        if has_alpha(frame.format.name) and not found.alpha:
            found.alpha = bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)
        found.meter.add(_small(frame, self.reformatter))
        found.pts.append(frame.pts)
        found.durations.append(frame.duration or 0)
        found.recordings.append(recording)

    def _first(self, frame: av.VideoFrame) -> None:
        kind = HDR.get(int(frame.color_trc))
        if kind and self.options.hdr == "refuse":
            raise ValueError(
                f"{shown(self.path)} is high dynamic range ({kind}), which looks wrong on other "
                "screens; give --hdr tonemap to convert it to standard range, or --hdr keep"
            )
        self.found.colors = output_tags(frame, tonemap=bool(kind) and self.options.hdr != "keep")
        self.found.size = (frame.height, frame.width)
        self.found.orientation = orientation(frame)

    def _check_found(self) -> None:
        most, context = int(self.container.options["max_pixels"]), self.stream.codec_context
        area = context.width * context.height  # 0 where the decoder refused its size
        if self.found.damaged and not 0 < area <= most:
            raise self.options.limits.error(
                f"{shown(self.path)} has frames of a damaged size, or of more than the {most:,} "
                "pixels that are accepted"
            )
        if self.found.pts:
            return
        part = self.options.part
        if part.is_whole:
            raise ValueError(f"{shown(self.path)} has no decodable frame")
        first, last = (p.text if p else "the end" for p in (part.start, part.stop))
        raise ValueError(
            f"{shown(self.path)} has no frame from {first} to {last}; it has {self.found.before} "
            "frames before that"
        )

    def _result(self, seek_to: int | None) -> SourceInfo:
        found, stream = self.found, self.stream
        assert found.size is not None and found.colors is not None
        truncated = self._truncated()
        interlaced = 2 * found.flagged_interlaced > len(found.pts)
        height, width = found.size[:: -1 if found.orientation.swaps_sides else 1]
        shape = Fraction(stream.sample_aspect_ratio or 1)
        shape = shape if shape > 0 else Fraction(1)
        offsets = self.clock.offsets(self.stream.index)
        pts, time_base = rising_times(self._moved(offsets), self.base, self.rate)
        trc = HDR.get(int(stream.codec_context.color_trc))
        return SourceInfo(
            path=self.path,
            height=height,
            width=width,
            pts=tuple(pts),
            durations=tuple(found.durations if time_base == self.base else [1] * len(pts)),
            time_base=time_base,
            rate=self.rate,
            options=self.options,
            bits=found.bits,
            alpha=found.alpha,
            colors=found.colors,
            sample_aspect_ratio=1 / shape if found.orientation.swaps_sides else shape,
            orientation=found.orientation,
            interlaced=interlaced and self.options.deinterlace == "auto",
            high_dynamic_range=trc,
            streams=_other_streams(self.container, stream),
            metadata=readable_tags(dict(self.container.metadata)),
            changes=tuple(found.meter.changes),
            damaged=found.damaged,
            first=found.before,
            seek_to=seek_to,
            offsets=offsets,
            joined_streams=self.clock.joined(self.stream.index),
            notes=tuple(self._notes(truncated, interlaced, trc)),
        )

    def _moved(self, offsets: tuple[Fraction, ...]) -> list[int | None]:
        """Timestamps on one timeline, in the stream's own time base."""
        return [
            None if pts is None else pts + round(offsets[recording] / self.base)
            for pts, recording in zip(self.found.pts, self.found.recordings, strict=True)
        ]

    def _truncated(self) -> str:
        """What is missing of the file, empty if nothing is. `ValueError` unless allowed."""
        size, declared = self.path.stat().st_size, declared_size(self.path)
        missing = ""
        if declared is not None and declared > size:
            missing = f"{size:,} of {declared:,} bytes are there"
        elif declared is None and self.found.complete:
            length = Fraction(self.container.duration or 0, av.time_base)
            end = self.found.end - self.zero
            if (
                length
                and end < length - Fraction(DURATION_TOLERANCE_SECONDS)
                and self.recordings == 1
            ):
                missing = f"it ends at {float(end):.2f} s of {float(length):.2f} s"
        if missing and not self.options.allow_truncated:
            raise ValueError(
                f"{shown(self.path)} is truncated: {missing}; give --allow_truncated to use the "
                f"{len(self.found.pts)} frames that are there"
            )
        return missing

    def _notes(self, truncated: str, interlaced: bool, transfer: str | None):
        found, count = self.found, len(self.found.pts)
        if truncated:
            yield f"truncated: {truncated}; the {count} frames that can be decoded are used"
        if interlaced and self.options.deinterlace == "auto":
            yield "interlaced: deinterlaced with bwdif (--deinterlace off leaves it as it is)"
        elif interlaced:
            yield "interlaced, and left as it is"
        if found.damaged:
            yield f"damaged: {found.damaged} packets could not be decoded and are left out"
        if self.recordings > 1:
            yield f"joined: {self.recordings} recordings are put on one timeline"
        if transfer and self.options.hdr == "tonemap":
            yield f"high dynamic range ({transfer}): tone-mapped to BT.709"
        elif transfer:
            yield f"high dynamic range ({transfer}): kept, the model works on its values"


def _small(frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
    """A frame reduced for the comparison with its neighbours.

    The reformatter is kept: a new one for each tiny frame takes longer than all the rest.
    """
    if frame.width * frame.height <= SMALL:
        return reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    width, height = THUMBNAIL_SIZE
    small = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA")
    return small.to_ndarray()


def rising_times(
    pts: list[int | None], time_base: Fraction, rate: Fraction
) -> tuple[list[int], Fraction]:
    """Makes timestamps usable for a result.

    Args:
        pts: Of all frames in order; None where unknown.
        time_base: Seconds of a unit.
        rate: Frames a second, for files whose timestamps are of no use.

    Returns:
        Rising timestamps and their time base: as they are, a few moved by single units, or evenly
        spaced where some are unknown or many fall.
    """
    known = [p for p in pts if p is not None]
    falls = sum(b <= a for a, b in pairwise(known))
    if len(known) < len(pts) or 10 * falls > len(pts):
        return list(range(len(pts))), 1 / rate
    rising: list[int] = []
    for value in known:
        rising.append(max(value, rising[-1] + 1) if rising else value)
    return rising, time_base
