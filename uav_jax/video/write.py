"""Frames to encoded segments.

A segment's file counts frames instead of seconds and is written whole or not at all, so that a run
that was killed resumes with the next one, and the joined file is the same byte for byte.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8

from uav_jax.runtime.files import atomic_path
from uav_jax.video.codecs import CODECS, OutputFormat
from uav_jax.video.color import LIMITED, ColorTags
from uav_jax.video.containers import BYTE_EXACT, format_name, open_output


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentFormat:
    """How the frames of a result are encoded."""

    output: OutputFormat
    depth: int = 8  # bits per channel
    alpha: bool = False
    rate: Fraction = Fraction(25)
    colors: ColorTags = field(default_factory=ColorTags)
    sample_aspect_ratio: Fraction = Fraction(1)


def quantised(frames: Float[np.ndarray, "N H W C"], depth: int, *, truncate: bool) -> np.ndarray:
    """Rounds [-1, 1] to integers.

    Args:
        frames: Values in [-1, 1]; others are clipped.
        depth: 8 gives uint8, more gives uint16 of the full range.
        truncate: Round down, as the published code does.
    """
    top, dtype = (255, np.uint8) if depth == 8 else (65535, np.uint16)
    values = np.clip(frames * 0.5 + 0.5, 0, 1) * np.float32(top)
    return (values if truncate else np.rint(values)).astype(dtype)


def encode_segment(path: Path, frames: Iterable[np.ndarray], form: SegmentFormat) -> None:
    """Encodes frames `(H, W, C)` of integers to one file, whose timestamps count them from 0.

    Raises:
        ValueError: There are no frames.
        OSError: The disk is full. `path` appears only when everything is in it.
    """
    codec = CODECS[form.output.codec or ""]
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder says errors only
    exact = BYTE_EXACT | {"avoid_negative_ts": "disabled"}
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError("a segment without frames")
    with (
        atomic_path(path) as temporary,
        open_output(temporary, format=codec.segments, options=exact) as out,
    ):
        stream = _add_stream(out, form, first.shape)
        for number, image in enumerate(chain([first], remaining)):
            frame = _frame(image, form)
            frame.pts, frame.time_base = number, 1 / form.rate
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _add_stream(out, form: SegmentFormat, shape) -> av.VideoStream:
    codec = CODECS[form.output.codec or ""]
    stream = out.add_stream(codec.encoder, rate=form.rate)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = form.output.pixel_format(form.depth, form.alpha)
    stream.time_base = 1 / form.rate
    context = stream.codec_context
    context.time_base = 1 / form.rate
    context.sample_aspect_ratio = form.sample_aspect_ratio.limit_denominator(65535)
    context.options = _with_metadata(form, form.output.encoder_options(form.alpha))
    context.color_primaries, context.color_trc = form.colors.primaries, form.colors.transfer
    if codec.encoder != "ffv1":  # which keeps RGB
        context.color_range, context.colorspace = LIMITED, form.colors.matrix
    if codec.encoder in ("libx265", "ffv1", "libsvtav1"):
        context.thread_count = 1 if codec.encoder == "ffv1" else 0
    return stream


def _with_metadata(form: SegmentFormat, options: dict[str, str]) -> dict[str, str]:
    """Adds HDR10's mastering metadata where the encoder can write it."""
    mastering, light = form.colors.mastering, form.colors.light_level
    if form.output.codec == "h265":
        more = []
        if mastering:
            rx, ry, gx, gy, bx, by, wx, wy = (round(v * 50000) for v in mastering[:8])
            low, high = (round(v * 10000) for v in mastering[8:])
            text = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
            more.append(f"master-display={text}")
        if light:
            more.append(f"max-cll={light[0]},{light[1]}")
        if form.colors.transfer in (16, 18):
            more.append("hdr10-opt=1:repeat-headers=1")
        return options | {"x265-params": ":".join([options["x265-params"], *more])}
    if form.output.codec == "av1" and (mastering or light):
        more = []
        if mastering:
            rx, ry, gx, gy, bx, by, wx, wy, low, high = mastering
            more.append(
                f"mastering-display=G({gx:.4f},{gy:.4f})B({bx:.4f},{by:.4f})R({rx:.4f},{ry:.4f})"
                f"WP({wx:.4f},{wy:.4f})L({high:.4f},{low:.4f})"
            )
        if light:
            more.append(f"content-light={light[0]},{light[1]}")
        return options | {"svtav1-params": ":".join(more)}
    return options


_SWS_MATRIX = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "SMPTE170M", 7: "SMPTE240M", 9: 9}


def _frame(image: np.ndarray, form: SegmentFormat) -> av.VideoFrame:
    deep = image.dtype == np.uint16
    name = {3: ("rgb24", "rgb48le"), 4: ("rgba", "rgba64le")}[image.shape[2]][deep]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), name)
    pixel_format = form.output.pixel_format(form.depth, form.alpha)
    if pixel_format.startswith("yuv"):
        frame = frame.reformat(
            format=pixel_format,
            dst_colorspace=_SWS_MATRIX[form.colors.matrix],
            dst_color_range="MPEG",
        )
    else:
        frame = frame.reformat(format=pixel_format)
    frame.color_primaries, frame.color_trc = form.colors.primaries, form.colors.transfer
    return frame


def write_video(
    path: Path,
    frames: UInt8[np.ndarray, "T H W 3"],
    rate: Fraction,
    *,
    output: OutputFormat | None = None,
) -> None:
    """Writes evenly spaced frames without sound, such as a sample or a demonstration's input.

    Args:
        path: A video file; it is replaced.
        frames: RGB.
        rate: Frames a second.
        output: Codec and quality; H.264 by default.
    """
    form = SegmentFormat(output=output or OutputFormat(codec="h264"), rate=rate)
    codec = CODECS[form.output.codec or ""]
    with (
        atomic_path(path) as temporary,
        open_output(temporary, format=format_name(path.suffix), options=dict(BYTE_EXACT)) as out,
    ):
        stream = _add_stream(out, form, frames.shape[1:])
        if codec.tag and path.suffix.lower() in (".mp4", ".mov"):
            stream.codec_context.codec_tag = codec.tag
        for number, image in enumerate(frames):
            frame = _frame(image, form)
            frame.pts, frame.time_base = number, 1 / rate
            out.mux(_one_frame_long(stream.encode(frame)))
        out.mux(_one_frame_long(stream.encode()))


def _one_frame_long(packets: Iterable[av.Packet]) -> list[av.Packet]:
    """Gives packets a duration, so that the last frame is shown as long as the others."""
    packets = list(packets)
    for packet in packets:
        packet.duration = packet.duration or 1
    return packets
