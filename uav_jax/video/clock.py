"""One timeline for files whose timestamps restart, such as joined transport streams."""

from collections import defaultdict
from fractions import Fraction

RESTARTING = ("mpegts", "mpeg")
"""Formats in which a jump of the timestamps is a new recording and no pause."""

BACKWARD, FORWARD = Fraction(1, 10), Fraction(10)
"""Seconds by which a timestamp falls, or jumps ahead, where a new recording begins."""


class Clock:
    """Counts the recordings of each stream, and says by how much each is moved.

    The next recording begins when the last stream of the one before it has ended.
    """

    def __init__(self, format_name: str):
        self._restarts = format_name in RESTARTING
        self._last: dict[int, tuple[Fraction, Fraction]] = {}
        self._part: dict[int, int] = defaultdict(int)
        self._spans: dict[int, tuple[Fraction, Fraction]] = {}

    def recording(self, stream: int, start: Fraction, end: Fraction) -> int:
        """Notes a packet or frame of a stream; returns the number of its recording."""
        last_start, last_end = self._last.get(stream, (start, start))
        jumped = start < last_start - BACKWARD or start > last_end + FORWARD
        if self._restarts and jumped:
            self._part[stream] += 1
        self._last[stream] = start, end
        part = self._part[stream]
        low, high = self._spans.get(part, (start, end))
        self._spans[part] = min(low, start), max(high, end)
        return part

    def offsets(self) -> tuple[Fraction, ...]:
        """Returns the seconds that are added to the timestamps of each recording."""
        found = [Fraction(0)]
        for part in range(1, len(self._spans)):
            ended = self._spans[part - 1][1] + found[-1]
            found.append(ended - self._spans[part][0])
        return tuple(found)
