"""What is known of a video or a folder of frames once it was read through."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from uav_jax.video.color import ColorTags, Pixels
from uav_jax.video.decode import FrameConversion, read_pixels
from uav_jax.video.images import read_picture
from uav_jax.video.limits import DEFAULT_LIMITS, MediaLimits
from uav_jax.video.orientation import Orientation
from uav_jax.video.position import Part

DEFAULT_RATE = Fraction(25)
"""Frames a second of folders of frames, and of videos that do not say."""

Hdr = Literal["refuse", "keep", "tonemap"]
Kind = Literal["video", "frames", "image"]

UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """How a source is read."""

    hdr: Hdr = "refuse"
    deinterlace: Literal["auto", "off"] = "auto"
    allow_truncated: bool = False
    part: Part = field(default_factory=Part)
    rate: Fraction | None = None  # frames a second of a folder of frames; None: 25
    limits: MediaLimits = DEFAULT_LIMITS  # what a file may ask for; no part of the result

    def __post_init__(self):
        if self.hdr not in ("refuse", "keep", "tonemap"):
            raise ValueError(f"hdr {self.hdr!r}; expected refuse, keep or tonemap")
        if self.deinterlace not in ("auto", "off"):
            raise ValueError(f"deinterlace {self.deinterlace!r}; expected auto or off")
        if self.rate is not None and not Fraction(1, 100) <= self.rate <= 1000:
            raise ValueError(f"fps {self.rate} is outside 0.01..1000")


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamInfo:
    """A stream beside the pictures. `codec` is FFmpeg's name of the format, such as "aac"."""

    index: int
    kind: str  # audio, subtitle, attachment, data, cover, video (a second video stream)
    codec: str

    def __str__(self) -> str:
        return f"stream {self.index} ({self.kind}, {self.codec})"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInfo:
    """A source that was read through once.

    `pts` and `durations` count in units of `time_base` seconds; `height` and `width` are those of
    the upright picture.
    """

    path: Path
    kind: Kind = "video"
    height: int
    width: int
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    time_base: Fraction
    rate: Fraction
    options: ReadOptions = field(default_factory=ReadOptions)
    bits: int = 8  # per channel
    alpha: bool = False  # some pixel is not opaque
    colors: ColorTags = field(default_factory=ColorTags)
    sample_aspect_ratio: Fraction = Fraction(1)
    orientation: Orientation = field(default_factory=Orientation)
    interlaced: bool = False  # and is deinterlaced when read
    high_dynamic_range: str | None = None  # PQ or HLG
    streams: tuple[StreamInfo, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    changes: tuple[float, ...] = ()  # of every frame against the last
    damaged: int = 0  # packets that could not be decoded and were passed over
    first: int = 0  # frames that decoding gives before the part's first one
    seek_to: int | None = None  # timestamp that decoding starts from; None: the file's start
    offsets: tuple[Fraction, ...] = (Fraction(0),)  # seconds; of the recordings of a joined file
    joined_streams: tuple[int, ...] = ()  # those that restart with the pictures
    notes: tuple[str, ...] = ()  # what a user should know, a line each
    files: tuple[Path, ...] = ()  # the pictures of a folder of frames, or the picture itself

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.pts)

    @property
    def seconds(self) -> float:
        """How long it plays."""
        span = self.pts[-1] - self.pts[0] + (self.durations[-1] or 0)
        return float(span * self.time_base) or self.frames / float(self.rate)

    @property
    def audio_codecs(self) -> tuple[str, ...]:
        """Formats of the sound."""
        return tuple(s.codec for s in self.streams if s.kind == "audio")

    @property
    def subtitle_codecs(self) -> tuple[str, ...]:
        """Formats of the subtitles."""
        return tuple(s.codec for s in self.streams if s.kind == "subtitle")

    @property
    def tonemapped(self) -> bool:
        """Whether frames are converted to standard dynamic range when read."""
        return self.high_dynamic_range is not None and self.options.hdr == "tonemap"

    def span(self) -> tuple[Fraction, Fraction]:
        """Seconds at which the first frame is shown and the last one ends."""
        start = self.pts[0] * self.time_base
        last = self.durations[-1] or round(1 / self.rate / self.time_base)
        return start, (self.pts[-1] + last) * self.time_base

    def conversion(self, *, keep_alpha: bool = False) -> FrameConversion:
        """Returns what is done to every decoded frame."""
        return FrameConversion(
            deinterlace=self.interlaced,
            tonemap=self.tonemapped,
            deep=self.bits > 8,
            alpha=self.alpha,
            keep_alpha=keep_alpha and self.alpha,
            orientation=self.orientation,
        )

    def stream(self, *, keep_alpha: bool = False) -> Iterator[Pixels]:
        """Reads the frames one by one.

        Args:
            keep_alpha: Give alpha as a fourth channel; otherwise it is composited over black.

        Returns:
            `(H, W, 3)` or `(H, W, 4)`; uint8, or uint16 where `bits` is above 8.

        Raises:
            ValueError: The source cannot be read any more.
        """
        if self.kind == "video":
            yield from read_pixels(
                self.path,
                self.conversion(keep_alpha=keep_alpha),
                seek_to=self.seek_to,
                first=self.first,
                count=self.frames,
                limits=self.options.limits,
            )
            return
        for file in self.files:
            picture = read_picture(
                file,
                deep=self.bits > 8,
                keep_profile=self.kind == "image",
                limits=self.options.limits,
            )
            yield picture.pixels if keep_alpha and self.alpha else picture.opaque()
