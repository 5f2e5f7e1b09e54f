"""Colours of video frames: what their tags say, and RGB from them.

The matrix decides how RGB is computed. Primaries and transfer function are handed on as tags,
because a model that is shown BT.2020 or PQ values returns such values.
"""

import struct
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as NothingMore
from av.filter import Graph
from jaxtyping import UInt8, UInt16

BT709, BT2020, UNSPECIFIED = 1, 9, 2
RGB_MATRIX = 0
LIMITED = 1
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of high dynamic range (ITU-T H.273)."""

HD_LINES = 720
"""Untagged pictures are BT.709 from this many lines on, as players assume."""

_SDR = "out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:intent=perceptual"
"""libswscale's tone mapping (FFmpeg's zscale is not in PyAV's wheels)."""

Pixels = UInt8[np.ndarray, "H W C"] | UInt16[np.ndarray, "H W C"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorTags:
    """Numbers of ITU-T H.273, and what HDR10 adds.

    `mastering` is (R x, R y, G x, G y, B x, B y, white x, white y, darkest, brightest), the last
    two in cd/m2; `light_level` (brightest pixel, brightest frame average) in cd/m2.
    """

    primaries: int = BT709
    transfer: int = BT709
    matrix: int = BT709
    mastering: tuple[float, ...] = ()
    light_level: tuple[int, int] | None = None


def output_tags(frame: av.VideoFrame, *, tonemap: bool) -> ColorTags:
    """Returns the tags of a result made from this frame: its own, BT.709 where it has none.

    Args:
        frame: The first decoded frame.
        tonemap: Whether frames are converted to standard dynamic range.
    """
    if tonemap:
        return ColorTags()
    values = (int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace))
    primaries, transfer, matrix = (BT709 if v in (UNSPECIFIED, 0) else v for v in values)
    if matrix not in (1, 4, 5, 6, 7, 9):  # those that libswscale converts to
        matrix = BT709
    return ColorTags(
        primaries=primaries,
        transfer=transfer,
        matrix=matrix,
        mastering=_mastering(frame),
        light_level=_light_level(frame),
    )


def side_data(frame: av.VideoFrame, name: str) -> bytes | None:
    """Returns a frame's side data of a type that FFmpeg names so, None where there is none."""
    every = cast(Any, frame.side_data)
    return next((bytes(d) for d in every if d.type.name == name), None)


def _mastering(frame: av.VideoFrame) -> tuple[float, ...]:
    data = side_data(frame, "MASTERING_DISPLAY_METADATA")
    if data is None or len(data) < 88:
        return ()
    *pairs, has_primaries, has_luminance = struct.unpack("=22i", data[:88])
    if not (has_primaries and has_luminance) or 0 in pairs[1::2]:
        return ()
    return tuple(a / b for a, b in zip(pairs[::2], pairs[1::2], strict=True))


def _light_level(frame: av.VideoFrame) -> tuple[int, int] | None:
    data = side_data(frame, "CONTENT_LIGHT_LEVEL")
    if data is None or len(data) < 8:
        return None
    most, average = struct.unpack("=2I", data[:8])
    return (most, average) if most or average else None


def has_alpha(name: str) -> bool:
    """Whether a pixel format of this name carries alpha."""
    return name.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "pal8"))


def bit_depth(frame: av.VideoFrame) -> int:
    """Bits per channel of a frame, 8 for palettes."""
    parts = frame.format.components
    return max((part.bits for part in parts), default=8) if len(parts) else 8


def to_pixels(frame: av.VideoFrame, *, deep: bool = False, alpha: bool = False) -> Pixels:
    """Converts a decoded frame to RGB.

    Args:
        frame: A frame in any pixel format.
        deep: uint16 with the full range of 65,535 instead of uint8.
        alpha: Keep alpha as a fourth channel.

    Returns:
        `(H, W, 3)`, or `(H, W, 4)` with straight alpha.
    """
    name = {
        (False, False): "rgb24",
        (False, True): "rgba",
        (True, False): "rgb48le",
        (True, True): "rgba64le",
    }[deep, alpha]
    unspecified = int(frame.colorspace) == UNSPECIFIED and frame.format.name.startswith("yuv")
    if unspecified and frame.height >= HD_LINES:
        return frame.reformat(format=name, src_colorspace="ITU709").to_ndarray()
    return frame.to_ndarray(format=name)


def over_black(pixels: Pixels) -> Pixels:
    """Composites RGBA over black: `(H, W, 4)` to `(H, W, 3)` of the same dtype."""
    top = np.iinfo(pixels.dtype).max
    product = pixels[..., :3].astype(np.uint32) * pixels[..., 3:]
    return ((product + top // 2) // top).astype(pixels.dtype)


def to_8_bit(pixels: Pixels) -> UInt8[np.ndarray, "H W C"]:
    """Rounds 16-bit values to 8 bits; 8-bit ones are returned as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


class FrameFilter:
    """A libavfilter chain that gives one frame for every frame, in order."""

    def __init__(self, frame: av.VideoFrame, filters: list[tuple[str, str]]):
        self._graph = Graph()
        source = self._graph.add(
            "buffer",
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
            f"time_base=1/1000:colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
        )
        nodes = [self._graph.add(name, arguments) for name, arguments in filters]
        self._graph.link_nodes(source, *nodes, self._graph.add("buffersink"))
        self._graph.configure()

    def push(self, frame: av.VideoFrame | None) -> list[av.VideoFrame]:
        """Takes a frame (None: there are no more); returns those that are finished."""
        self._graph.vpush(frame)
        found = []
        while True:
            try:
                found.append(self._graph.vpull())
            except (NothingYet, NothingMore):
                return found


def tonemap_filters(frame: av.VideoFrame) -> list[tuple[str, str]]:
    """Returns the filters that turn an HDR frame into BT.709."""
    assume = []
    if int(frame.color_primaries) == UNSPECIFIED:
        assume.append("color_primaries=bt2020")
    if int(frame.colorspace) == UNSPECIFIED:
        assume.append("colorspace=bt2020nc")
    tags = [("setparams", ":".join(assume))] if assume else []
    return [*tags, ("scale", _SDR), ("format", "rgb48le")]


DEINTERLACE = [("bwdif", "mode=send_frame:parity=auto:deint=interlaced")]
"""One frame for every frame; frames that are flagged progressive pass unchanged."""
