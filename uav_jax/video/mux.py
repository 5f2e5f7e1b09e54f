"""Segments and the source's other streams into one file.

`streams.plan_streams` decides what becomes of every stream; `join` carries it out.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Disposition, Stream

from uav_jax.runtime.files import atomic_path
from uav_jax.video.clock import Clock
from uav_jax.video.codecs import CODECS
from uav_jax.video.color import LIMITED
from uav_jax.video.containers import (
    BYTE_EXACT,
    format_name,
    open_input,
    open_output,
    readable_tags,
    shown,
)
from uav_jax.video.convert import AudioConverter, SubtitleConverter
from uav_jax.video.limits import NO_LIMITS
from uav_jax.video.source import SourceInfo
from uav_jax.video.streams import COVERS, StreamPlan, plan_streams
from uav_jax.video.write import SegmentFormat

STALE_TAGS = ("DURATION", "ENCODER", "encoder", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "BPS")
"""Stream tags that describe the source's file rather than its content."""


class AuxiliaryStreams:
    """The packets of the source's other streams, ready for the result."""

    def __init__(self, out, container, source: SourceInfo, plans: list[StreamPlan]):
        self._source = source
        self._container = container
        self._clock = Clock(container.format.name)
        self._copied: dict[int, Stream] = {}
        self._converters: dict[int, SubtitleConverter | AudioConverter] = {}
        self._covers = {p.stream.index for p in plans if p.stream.kind == "cover"}
        self._cut_to_part = not source.options.part.is_whole
        self._shift = -source.span()[0] if self._cut_to_part else Fraction(0)
        for plan in plans:
            if plan.action != "drop":
                self._add(out, container.streams[plan.stream.index], plan)

    def _add(self, out, stream, plan: StreamPlan) -> None:
        if plan.stream.kind == "attachment":
            out.add_attachment(stream.name, stream.mimetype or "", stream.data)
            return
        if plan.stream.kind == "cover" and out.format.name == "matroska":
            name, kind = COVERS[plan.stream.codec]
            out.add_attachment(name, kind, _first_packet(self._source, stream.index))
            return
        if plan.action == "convert":
            made = SubtitleConverter if plan.stream.kind == "subtitle" else AudioConverter
            converter = made(out, stream, plan.codec)
            added = converter.stream
            self._converters[stream.index] = converter
        else:
            added = out.add_stream_from_template(stream, opaque=True)
            self._copied[stream.index] = added
        added.disposition = stream.disposition
        tags = readable_tags(stream.metadata)
        kept = {k: v for k, v in tags.items() if not k.startswith(STALE_TAGS)}
        added.metadata.update(kept)

    def packets(self) -> Iterator[av.Packet]:
        """The packets in the source's order, with the result's times."""
        wanted = [self._container.streams[i] for i in (*self._copied, *self._converters)]
        if not wanted:
            return
        for packet in self._container.demux(wanted):
            index = packet.stream.index
            if packet.dts is None and index in self._covers:
                packet.pts = packet.dts = 0  # a picture without a time
            if packet.dts is None or not packet.size or self._retime(packet):
                continue
            if index in self._converters:
                yield from self._converters[index].convert(packet)
            else:
                packet.stream = self._copied[index]
                yield packet
        for converter in self._converters.values():
            yield from converter.rest()

    def _retime(self, packet: av.Packet) -> bool:
        """Moves a packet to the result's time; whether it is outside of the part."""
        base = Fraction(packet.time_base)
        assert packet.dts is not None
        start = (packet.pts if packet.pts is not None else packet.dts) * base
        length = (packet.duration or 0) * base
        recording = self._clock.recording(packet.stream.index, start, start + length)
        offsets = self._source.offsets
        joined = packet.stream.index in self._source.joined_streams
        moved = offsets[min(recording, len(offsets) - 1)] if joined else Fraction(0)
        if self._cut_to_part:
            start, end = start + moved, start + moved + length
            first, last = self._source.span()
            is_text = packet.stream.type == "subtitle"
            if start >= last or (end <= first if is_text else start < first):
                return packet.stream.index not in self._covers
            if start < first and is_text:  # it is already shown where the part begins
                late = round((first - start) / base)
                packet.pts = packet.dts = packet.dts + late
                packet.duration = (packet.duration or 0) - late
        units = round((moved + self._shift) / base)
        packet.dts += units
        if packet.pts is not None:
            packet.pts += units
        return False


def _first_packet(source: SourceInfo, index: int) -> bytes:
    """The bytes of a cover picture."""
    with open_input(source.path, source.options.limits) as container:
        packets = container.demux(container.streams[index])
        return bytes(next(p for p in packets if p.size))


def _numbered(segments: Iterable[Path], source: SourceInfo) -> Iterator[tuple[int, av.Packet]]:
    """All packets in decoding order, each with the number of the frame that it shows."""
    first = 0
    for path in segments:
        with open_input(path, NO_LIMITS) as container:
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
    moved = 0 if source.options.part.is_whole else source.pts[0]
    pts = [p - moved for p in source.pts]
    for position, (number, packet) in enumerate(_numbered(segments, source)):
        early = pts[0] - (delay - position) * step
        packet.time_base = source.time_base
        packet.pts, packet.duration = pts[number], source.durations[number]
        packet.dts = pts[position - delay] if position >= delay else early
        yield packet


def join(
    target: Path,
    segments: list[Path],
    source: SourceInfo,
    form: SegmentFormat,
    *,
    plans: list[StreamPlan] | None = None,
    comment: str = "",
) -> None:
    """Joins segments and the source's other streams into one file.

    Args:
        target: The result, which appears when it is complete.
        segments: Files that `encode_segment` wrote, in order.
        source: What was upscaled.
        form: How the segments were encoded.
        plans: What becomes of the other streams; by default as `plan_streams` decides.
        comment: Stored in the result's metadata.

    Raises:
        ValueError: The container cannot hold a stream.
        OSError: The disk is full, or the folder is gone.
    """
    suffix = target.suffix.lower()
    plans = plan_streams(source, suffix) if plans is None else plans
    try:
        with atomic_path(target) as temporary:
            _join(temporary, format_name(suffix), segments, source, form, plans, comment)
    except (FFmpegError, ValueError) as error:
        if isinstance(error, OSError) and error.errno and 0 < error.errno < 200:
            raise
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot write {shown(target)}: {reason}") from error


def _join(path: Path, container_format: str, segments, source, form, plans, comment) -> None:
    with open_output(path, format=container_format, options=dict(BYTE_EXACT)) as out:
        with open_input(segments[0], NO_LIMITS) as first:
            video = out.add_stream_from_template(first.streams.video[0], opaque=True)
        _describe_video(video, source, form, container_format)
        out.metadata.update(_container_tags(source))
        if comment:  # beside a comment that the source has
            out.metadata["description" if "comment" in source.metadata else "comment"] = comment
        if source.kind != "video":
            _mux(out, video, segments, source, iter(()))
            return
        with open_input(source.path, source.options.limits) as container:
            others = AuxiliaryStreams(out, container, source, plans)
            if chapters := _chapters(container, source):
                out.set_chapters(chapters)
            _mux(out, video, segments, source, others.packets())


def _describe_video(video, source: SourceInfo, form: SegmentFormat, container_format: str) -> None:
    """Tells the container what not every bitstream says: times, shape and colours."""
    video.time_base = source.time_base
    video.disposition = Disposition.default
    context, colors = video.codec_context, form.colors
    context.sample_aspect_ratio = form.sample_aspect_ratio.limit_denominator(65535)
    context.color_primaries, context.color_trc = colors.primaries, colors.transfer
    if form.output.codec != "ffv1":  # which keeps RGB
        context.color_range, context.colorspace = LIMITED, colors.matrix
    codec = CODECS[form.output.codec or ""]
    tag = codec.alpha_tag if form.alpha else codec.tag
    if tag and container_format in ("mp4", "mov"):
        context.codec_tag = tag


def _container_tags(source: SourceInfo) -> dict[str, str]:
    written = ("major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER")
    return {k: v for k, v in source.metadata.items() if k not in written}


def _chapters(container, source: SourceInfo) -> list:
    """The chapters, cut and moved to the part where there is one."""
    chapters = container.chapters()
    if source.options.part.is_whole:
        return chapters
    first, last = source.span()
    kept = []
    for chapter in chapters:
        base = Fraction(chapter["time_base"])
        start = max(Fraction(0), chapter["start"] * base - first)
        end = min(last, chapter["end"] * base) - first
        if end > start:
            kept.append({**chapter, "start": int(start / base), "end": int(end / base)})
    return kept


def _decoded_at(packet: av.Packet) -> Fraction:
    assert packet.dts is not None
    return packet.dts * Fraction(packet.time_base)


def _mux(out, video, segments, source: SourceInfo, others: Iterator[av.Packet]) -> None:
    """Interleaves the video with the packets of the other streams by time."""
    waiting = next(others, None)
    for packet in _timed(segments, source):
        shown_at = (packet.pts or 0) * source.time_base
        while waiting is not None and _decoded_at(waiting) <= shown_at:
            out.mux(waiting)
            waiting = next(others, None)
        packet.stream = video
        out.mux(packet)
    while waiting is not None:
        out.mux(waiting)
        waiting = next(others, None)
