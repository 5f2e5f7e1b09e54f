"""One timeline for files whose timestamps restart, such as joined transport streams."""

from dataclasses import dataclass, field
from fractions import Fraction

RESTARTING = ("mpegts", "mpeg")
"""Formats in which a jump of the timestamps is a new recording and no pause."""

BACKWARD, FORWARD = Fraction(1, 10), Fraction(10)
"""Seconds by which a timestamp falls, or jumps ahead, where a new recording begins."""


@dataclass(slots=True)
class _Track:
    """The recordings of one stream: when each starts and ends."""

    start: Fraction = Fraction(0)  # of the last packet
    end: Fraction = Fraction(0)
    spans: list[tuple[Fraction, Fraction]] = field(default_factory=list)


class Clock:
    """Counts the recordings of each stream, and says by how much each recording is moved.

    The next recording begins when the streams of the one before it have ended. Only streams that
    restart as often as the pictures do count: a long pause between two subtitles is no new
    recording.
    """

    def __init__(self, format_name: str):
        self._restarts = format_name in RESTARTING
        self._tracks: dict[int, _Track] = {}

    def recording(self, stream: int, start: Fraction, end: Fraction) -> int:
        """Notes a packet or frame of a stream; returns the number of its recording."""
        track = self._tracks.setdefault(stream, _Track())
        fell = start < track.start - BACKWARD
        jumped = start > track.end + FORWARD
        if not track.spans or (self._restarts and (fell or jumped)):
            track.spans.append((start, end))
        low, high = track.spans[-1]
        track.spans[-1] = min(low, start), max(high, end)
        track.start, track.end = start, end
        return len(track.spans) - 1

    def offsets(self, pictures: int) -> tuple[Fraction, ...]:
        """Returns the seconds that are added to the timestamps of each recording.

        Args:
            pictures: Index of the stream that decides how many recordings there are.
        """
        count = len(self._tracks[pictures].spans) if pictures in self._tracks else 1
        spans = [t.spans for t in self._tracks.values() if len(t.spans) == count]
        found = [Fraction(0)]
        for part in range(1, count):
            ended = max(s[part - 1][1] for s in spans) + found[-1]
            found.append(ended - min(s[part][0] for s in spans))
        return tuple(found)

    def joined(self, pictures: int) -> tuple[int, ...]:
        """Returns the streams that restart as often as the pictures do."""
        count = len(self._tracks[pictures].spans) if pictures in self._tracks else 1
        return tuple(index for index, t in self._tracks.items() if len(t.spans) == count)
