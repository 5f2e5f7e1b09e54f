"""Encoders: what they are called, what they can hold, and which one a result gets."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.error import FFmpegError

from uav_jax.video.containers import OUTPUT_SUFFIXES, shown
from uav_jax.video.source import SourceInfo

X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)

NO_MACROBLOCK_TREE = "mbtree=0"
"""x264's macroblock tree reads memory that nobody wrote: with it the same frames came out as
different files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Codec:
    """An encoder, its pixel formats by bits per channel, and its settings."""

    encoder: str
    formats: dict[int, str]
    alpha_formats: dict[int, str] = field(default_factory=dict)
    containers: tuple[str, ...]
    crf: int | None = None  # the default; None: the codec has no rate factor
    highest_crf: int = 51
    presets: tuple[str, ...] = ()
    preset: str = ""
    options: dict[str, str] = field(default_factory=dict)
    alpha_options: dict[str, str] = field(default_factory=dict)
    segments: str = "nut"  # the format of a segment's file
    max_width: int = 65534
    max_height: int = 65534
    min_side: int = 1
    bytes_per_pixel: float  # of a result at default quality, measured on photographed scenes
    tag: str | None = None  # in MP4 and MOV
    alpha_tag: str | None = None  # the same, of frames with alpha

    @property
    def even(self) -> bool:
        """Whether its colours are at half resolution, which needs even sizes."""
        return any("420" in f or "422" in f for f in self.formats.values())


CODECS = {
    "h264": Codec(
        encoder="libx264",
        bytes_per_pixel=0.05,
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=(".mp4", ".mkv", ".mov"),
        crf=15,
        presets=X264_PRESETS,
        preset="medium",
        options={"x264-params": NO_MACROBLOCK_TREE},
        max_width=16384,
        max_height=16384,
    ),
    "h265": Codec(
        encoder="libx265",
        bytes_per_pixel=0.035,
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=(".mp4", ".mkv", ".mov"),
        crf=17,
        presets=X264_PRESETS,
        preset="medium",
        options={"x265-params": "log-level=error:frame-threads=1"},
        min_side=16,
        tag="hvc1",
    ),
    "av1": Codec(
        encoder="libsvtav1",
        bytes_per_pixel=0.025,
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=(".mp4", ".mkv", ".webm"),
        crf=22,
        highest_crf=63,
        presets=tuple(map(str, range(14))),
        preset="8",
        max_width=16384,
        max_height=8704,
    ),
    "vp9": Codec(
        encoder="libvpx-vp9",
        bytes_per_pixel=0.045,
        formats={8: "yuv420p", 10: "yuv420p10le"},
        containers=(".webm", ".mkv", ".mp4"),
        crf=20,
        highest_crf=63,
        presets=tuple(map(str, range(9))),
        preset="2",
        options={"b": "0", "row-mt": "1"},
        segments="matroska",
    ),
    "prores": Codec(
        encoder="prores_ks",
        bytes_per_pixel=0.75,
        formats={10: "yuv422p10le"},
        alpha_formats={10: "yuva444p10le"},
        containers=(".mov", ".mkv"),
        options={"profile": "3"},
        alpha_options={"profile": "4444", "alpha_bits": "16"},
        segments="mov",
        tag="apch",
        alpha_tag="ap4h",
    ),
    "ffv1": Codec(
        encoder="ffv1",
        bytes_per_pixel=0.9,
        formats={8: "bgr0", 10: "gbrp10le"},
        alpha_formats={8: "bgra", 10: "gbrap10le"},
        containers=(".mkv",),
        options={"level": "3"},
    ),
}
"""By the name that users give. ``png`` is none of these: it writes a folder of frames."""

PNG = "png"
PNG_BYTES_PER_PIXEL = 1.4
"""The same as `Codec.bytes_per_pixel`."""

ALPHA_CODECS = (*(name for name, codec in CODECS.items() if codec.alpha_formats), PNG)
ANY_DEPTH = 16
"""Bits per channel that PNG and TIFF files can hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFormat:
    """What to write.

    Raises:
        ValueError: For what does not go together.
    """

    codec: str | None = None  # None: by the source, see `resolved`
    crf: int | None = None  # None: the codec's default
    preset: str | None = None  # None: the codec's default
    bits: int | None = None  # per channel; None: as the source, at most 10 in videos
    images: bool = False  # frames as PNG too
    alpha: str = "auto"  # auto: kept where the codec can hold it; keep, black

    def __post_init__(self):
        known = (PNG, *CODECS)
        if self.codec is not None and self.codec not in known:
            raise ValueError(f"codec {self.codec!r}; expected {', '.join(known)}")
        if self.alpha not in ("auto", "keep", "black"):
            raise ValueError(f"alpha {self.alpha!r}; expected auto, keep or black")
        if self.bits not in (None, 8, 10):
            raise ValueError(f"bits {self.bits}; expected 8 or 10")
        if self.crf is not None and self.crf < 0:
            raise ValueError(f"crf {self.crf} is negative; 0 is the best")
        if self.codec is not None:
            self._check_settings(self.codec)

    def _check_settings(self, name: str) -> None:
        codec = CODECS.get(name)
        highest = codec.highest_crf if codec and codec.crf is not None else None
        if self.crf is not None and highest is None:
            raise ValueError(f"crf {self.crf} was given, but codec {name} has no rate factor")
        if self.crf is not None and highest is not None and self.crf > highest:
            raise ValueError(f"crf {self.crf} is outside 0..{highest} (codec {name})")
        presets = codec.presets if codec else ()
        if self.preset is not None and self.preset not in presets:
            expected = ", ".join(presets) or "none: it has no presets"
            raise ValueError(f"preset {self.preset!r} of codec {name}; expected {expected}")

    def resolved(self, source: SourceInfo, suffix: str = "") -> "OutputFormat":
        """Returns the format with its codec chosen.

        Without a codec: VP9 in WebM; H.264 for 8 bits; H.265 for more, because few players show
        10-bit H.264.

        Args:
            source: What is upscaled.
            suffix: Of the file that the user named, if any.

        Raises:
            ValueError: Settings that the chosen codec does not have.
        """
        if self.codec is not None:
            return self
        deep = (self.bits or source.bits) > 8
        return replace(self, codec="vp9" if suffix == ".webm" else ("h265" if deep else "h264"))

    def depth(self, source: SourceInfo) -> int:
        """Bits per channel of the result (the codec is chosen)."""
        wanted = self.bits or source.bits
        if self.codec == PNG:
            return 8 if wanted == 8 else ANY_DEPTH
        formats = CODECS[self.codec or ""].formats
        nearest = min(wanted, 10)
        return nearest if nearest in formats else next(iter(formats))

    def keeps_alpha(self, source: SourceInfo) -> bool:
        """Whether the result carries the source's alpha.

        Raises:
            ValueError: It was asked for and the codec cannot hold it.
        """
        able = self.codec == PNG or bool(CODECS[self.codec or ""].alpha_formats)
        if self.alpha == "keep" and not able:
            raise ValueError(
                f"codec {self.codec} cannot hold alpha; use --codec {', '.join(ALPHA_CODECS)}"
            )
        return source.alpha and able and self.alpha != "black"

    def pixel_format(self, depth: int, alpha: bool) -> str:
        """FFmpeg's name of the pixels that are encoded."""
        codec = CODECS[self.codec or ""]
        return (codec.alpha_formats if alpha else codec.formats)[depth]

    def encoder_options(self, alpha: bool) -> dict[str, str]:
        """What the encoder is told."""
        codec = CODECS[self.codec or ""]
        options = dict(codec.options) | (codec.alpha_options if alpha else {})
        crf = codec.crf if self.crf is None else self.crf
        if crf is not None:
            options["crf"] = str(crf)
        preset = self.preset or codec.preset
        if preset:
            options["cpu-used" if self.codec == "vp9" else "preset"] = preset
        return options

    def check_container(self, path: Path) -> None:
        """Raises `ValueError` where a file of this name cannot hold the codec."""
        suffixes = CODECS[self.codec or ""].containers
        if path.suffix.lower() not in suffixes:
            raise ValueError(
                f"{shown(path)}: codec {self.codec} goes into {', '.join(suffixes)}, not "
                f"{path.suffix}"
            )


def check_size(
    output: OutputFormat,
    height: int,
    width: int,
    depth: int,
    alpha: bool,
    rate: Fraction = Fraction(25),
) -> None:
    """Raises `ValueError` where an encoder cannot hold frames of this size and rate.

    Known limits are named; then the encoder itself is opened.
    """
    if output.codec == PNG:
        return
    codec = CODECS[output.codec or ""]
    fits = codec.min_side <= min(height, width) and height <= codec.max_height
    if not (fits and width <= codec.max_width):
        able = [
            name
            for name, c in CODECS.items()
            if c.min_side <= min(height, width) and width <= c.max_width and height <= c.max_height
        ]
        raise ValueError(
            f"{width}x{height} is not possible with codec {output.codec}, which holds "
            f"{codec.min_side}x{codec.min_side} to {codec.max_width}x{codec.max_height}; use "
            f"--codec {' or '.join([*able, PNG])}, or a smaller --scale or --height"
        )
    context = cast(av.VideoCodecContext, av.CodecContext.create(codec.encoder, "w"))
    context.width, context.height = width, height
    context.pix_fmt = output.pixel_format(depth, alpha)
    context.time_base, context.framerate = 1 / rate, rate
    context.options = quiet(output, output.encoder_options(alpha))
    try:
        context.open()
    except (FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"codec {output.codec} refuses {width}x{height} at {float(rate):g} frames a second: "
            f"{reason}; use another --codec"
        ) from error


def h264_holds(height: int, width: int) -> bool:
    """Whether H.264 can hold frames of this size."""
    codec = CODECS["h264"]
    return height <= codec.max_height and width <= codec.max_width and height % 2 == width % 2 == 0


def quiet(output: OutputFormat, options: dict[str, str]) -> dict[str, str]:
    """Returns encoder options that let a failing encoder say nothing by itself."""
    if output.codec == "h265":
        return options | {"x265-params": "log-level=none:frame-threads=1:pools=none"}
    return options


def size_for_codec(height: int, width: int, codec: str) -> tuple[int, int]:
    """Returns the size that a codec can hold: even where its colours are at half resolution."""
    if codec == PNG or not CODECS[codec].even:
        return height, width
    return height + height % 2, width + width % 2


def is_video_output(path: Path) -> bool:
    """Whether a path names a video file that can be written."""
    return path.suffix.lower() in OUTPUT_SUFFIXES
