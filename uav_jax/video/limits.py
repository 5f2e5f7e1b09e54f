"""Limits on what reading a media file may cost, so that a small file cannot take a whole machine.

Sizes and counts are compared with what headers declare before anything is decoded, and again while
frames are decoded, because headers may be false.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

UNLIMITED = 2**31 - 1
"""FFmpeg's own bound of pixels and streams."""


class LimitError(ValueError):
    """A file asks for more than is accepted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaLimits:
    """Limits of one file. The defaults are far above what cameras and editors write.

    `hint` ends every message: how whoever reads it can raise the limits.

    Raises:
        ValueError: A limit that is not positive.
    """

    video_pixels: int = 140_000_000  # of a frame; 15360x8640 is the largest in use
    animation_pixels: int = 2**25  # of GIF and PNG animations, whose empty frames take no bytes
    image_pixels: int = 260_000_000  # of a still image; 16000x16000
    side_ratio: int = 10_000  # longer side / shorter side
    frames: int = 5_000_000  # of a video; 23 hours at 60 a second
    frame_rate: int = 2_000  # frames decoded for each second of video
    bytes_per_second: int = 2**36  # of RGB, decoded for each second of video
    decode_seconds: float = 60.0  # that reading any video once may take
    decode_seconds_per_second: float = 600.0  # and more, for each second of video
    streams: int = 500
    held_bytes: int = 2**28  # of attachments and tags, and of the index of a small file
    hint: str = "limits=NO_LIMITS lifts the limits, for files that you trust"

    def __post_init__(self):
        for name in self.__slots__:
            if name != "hint" and getattr(self, name) <= 0:
                raise ValueError(f"limit {name} {getattr(self, name)}; expected more than 0")

    def error(self, message: str) -> LimitError:
        """Returns the error for a file that asks for more, with the hint."""
        return LimitError("; ".join(filter(None, (message, self.hint))))

    def pixels(self, kind: str) -> int:
        """Returns how many pixels a frame of a video or animation, or an image, may have."""
        return getattr(self, f"{kind}_pixels")

    def check_size(self, name: str, width: int, height: int, kind: str = "video") -> None:
        """Refuses a frame or image that is too large or too narrow.

        Args:
            name: Of the file, as it is printed.
            width: Pixels.
            height: Pixels.
            kind: "video", "animation" or "image".

        Raises:
            LimitError: The size is above the limit of its kind.
        """
        most = self.pixels(kind)
        if width * height > most:
            article = "an" if kind[0] in "aeiou" else "a"
            raise self.error(
                f"{name} is {width}x{height}, {width * height:,} pixels; up to {most:,} are "
                f"accepted of {article} {kind}"
            )
        if max(width, height) > self.side_ratio * max(1, min(width, height)):
            raise self.error(
                f"{name} is {width}x{height}; one side may be up to {self.side_ratio:,} times the "
                f"other"
            )

    def check_frames(self, name: str, frames: int, what: str = "has") -> None:
        """Raises `LimitError` for more frames than are accepted, declared or counted."""
        if frames > self.frames:
            raise self.error(f"{name} {what} {frames:,} frames; up to {self.frames:,} are accepted")

    def check_declared(self, name: str, frames: int, seconds: float) -> None:
        """Raises `LimitError` for too many frames, for the file or for its length.

        Args:
            name: Of the file, as it is printed.
            frames: That its header declares; 0 where it does not.
            seconds: The length that its header declares; 0 where it does not.
        """
        self.check_frames(name, frames, "declares")
        if seconds > 0:
            self.check_rate(name, frames, seconds)

    def check_rate(self, name: str, frames: int, seconds: float) -> None:
        """Raises `LimitError` for too many frames in a length of video."""
        if frames > self.frame_rate * (seconds + 1):
            raise self.error(
                f"{name} has {frames:,} frames in {seconds:.2f} s; up to {self.frame_rate:,} a "
                f"second are accepted"
            )

    def check_held(self, name: str, held: int) -> None:
        """Raises `LimitError` for large indexes, attachments and tags."""
        if held > self.held_bytes:
            raise self.error(
                f"{name} has an index, attachments or tags that take {held:,} bytes; up to "
                f"{self.held_bytes:,} are accepted"
            )

    def check_streams(self, name: str, streams: int) -> None:
        """Raises `LimitError` for more streams than are accepted."""
        if streams > self.streams:
            raise self.error(f"{name} has more than {self.streams} streams, which is the limit")


DEFAULT_LIMITS = MediaLimits()
"""Of Python, training and evaluation."""

COMMAND_LINE_LIMITS = replace(
    DEFAULT_LIMITS, hint="--no_limits lifts the limits, for files that you trust"
)
"""Of `infer.py`."""

NO_LIMITS = MediaLimits(
    video_pixels=UNLIMITED,
    animation_pixels=UNLIMITED,
    image_pixels=2**62,
    side_ratio=2**62,
    frames=2**62,
    frame_rate=2**62,
    bytes_per_second=2**62,
    decode_seconds=float("inf"),
    decode_seconds_per_second=float("inf"),
    streams=UNLIMITED - 1,
    held_bytes=2**62,
)
"""For files that the user trusts, and for results of this program."""

UPLOAD_LIMITS = MediaLimits(
    video_pixels=2**25,  # 7680x4320
    animation_pixels=2**23,
    image_pixels=2**25,
    side_ratio=100,
    frames=36_000,  # ten minutes at 60 a second
    frame_rate=1_000,
    bytes_per_second=2**34,
    decode_seconds=30.0,
    decode_seconds_per_second=60.0,
    streams=100,
    held_bytes=2**25,
    hint="",
)
"""For files of visitors, who share a machine."""


@dataclass(slots=True)
class DecodeMeter:
    """Counts frames, bytes and time while one video is decoded without a pause.

    Between frames that a model works on, time would say nothing about the file.
    """

    name: str
    limits: MediaLimits
    clock: Callable[[], float] = time.monotonic
    frames: int = 0
    decoded_bytes: int = 0
    _started: float = field(init=False)
    _first: float | None = None
    _last: float = 0.0

    def __post_init__(self):
        self._started = self.clock()

    @property
    def _seconds(self) -> float:
        """Of video decoded so far."""
        return 0.0 if self._first is None else self._last - self._first

    def packet(self) -> None:
        """Notes a packet; `LimitError` where decoding takes too long."""
        limits, elapsed = self.limits, self.clock() - self._started
        if elapsed <= limits.decode_seconds:
            return
        most = limits.decode_seconds + limits.decode_seconds_per_second * self._seconds
        if elapsed > most:
            raise limits.error(
                f"{self.name} took {elapsed:.0f} s to decode {self._seconds:.1f} s of video; up to "
                f"{most:.0f} s are accepted"
            )

    def frame(self, width: int, height: int, deep: bool, seconds: float) -> None:
        """Notes a decoded frame.

        Args:
            width: Pixels.
            height: Pixels.
            deep: Whether it has more than 8 bits per channel.
            seconds: When it is shown.

        Raises:
            LimitError: There are too many frames or bytes, for the file or for its length.
        """
        limits = self.limits
        self.frames += 1
        self.decoded_bytes += width * height * (6 if deep else 3)
        self._first = seconds if self._first is None else min(self._first, seconds)
        self._last = max(self._last, seconds) if self.frames > 1 else seconds
        limits.check_frames(self.name, self.frames, "has at least")
        limits.check_rate(self.name, self.frames, self._seconds)
        if self.decoded_bytes > limits.bytes_per_second * (self._seconds + 1):
            raise limits.error(
                f"{self.name} decodes to {self.decoded_bytes:,} bytes in {self._seconds:.2f} s; up "
                f"to {limits.bytes_per_second:,} a second are accepted"
            )
