"""Positions in a video that a user names: seconds, hh:mm:ss.ms, or a frame number."""

import re
from dataclasses import dataclass
from fractions import Fraction

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")


@dataclass(frozen=True, slots=True)
class Position:
    """A time in seconds from the start of the file, or the number of a frame counted from 0."""

    text: str
    seconds: Fraction | None = None
    frame: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Reads `90`, `0.5`, `1:30`, `00:01:30.250` or `#120`.

        Raises:
            ValueError: Anything else.
        """
        if text.startswith("#") and text[1:].isdecimal():
            return cls(text, frame=int(text[1:]))
        if match := _CLOCK.fullmatch(text.strip()):
            hours, minutes, seconds = match.groups()
            total = int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)
            return cls(text, seconds=total)
        raise ValueError(
            f"position {text!r}; expected seconds (90.5), hh:mm:ss.ms (00:01:30.5) or a frame "
            "number (#120)"
        )

    def reached(self, number: int, seconds: Fraction) -> bool:
        """Whether frame `number`, shown at `seconds`, is at or after this position."""
        if self.frame is not None:
            return number >= self.frame
        assert self.seconds is not None
        return seconds >= self.seconds


@dataclass(frozen=True, slots=True)
class Part:
    """Frames in [start, stop); None means the start or the end of the file."""

    start: Position | None = None
    stop: Position | None = None

    def __post_init__(self):
        a, b = self.start, self.stop
        for first, last in ((a and a.seconds, b and b.seconds), (a and a.frame, b and b.frame)):
            if first is not None and last is not None and first >= last:
                assert a and b
                raise ValueError(f"the part from {a.text} to {b.text} is empty; --to must be later")

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.start is None and self.stop is None
