"""What files declare, read before FFmpeg allocates memory for it.

| file | read here | why |
|---|---|---|
| GIF, PNG | the size of the canvas | FFmpeg decodes a frame while it opens the file |
| MP4, MOV | the number of samples | FFmpeg holds 36 bytes of each |
| Matroska | the size of attachments and tags | FFmpeg holds them in memory |

Sizes of other formats come from FFmpeg, which is told the limit.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from uav_jax.video.limits import UNLIMITED, MediaLimits
from uav_jax.video.matroska import held_bytes

MOST_BOXES = 500_000
"""Boxes of an MP4 file that are looked at; of large files one for each `BYTES_OF_A_BOX`."""

BYTES_OF_A_BOX = 64
"""Fragments of a single frame take more for each of their boxes."""

MOST_TABLES = 1000
"""Tables in a sample description that are looked at."""

ENTRY_BYTES = 36
"""That FFmpeg holds of each sample of an MP4 file (measured)."""

MOST_GROWTH = 4
"""Times the file's size that its index may be; real samples and their tables take more bytes."""

DEEPEST = 12
"""Boxes inside of each other; FFmpeg gives up at ten."""

LARGEST_HEADER = 2**25
"""Bytes that a compressed MP4 header may become."""

ANIMATIONS = ("gif", "apng", "webp_pipe")
"""FFmpeg's formats whose empty frames take no bytes."""

LARGEST_DESCRIPTION = 2**20
"""Bytes of sample descriptions that are looked at."""

TABLE_BYTES = 2**16
"""Bytes of each of them."""

_FOLDERS = (
    *(b"moov", b"cmov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"moof", b"traf"),
    *(b"mvex", b"udta", b"dinf", b"tref", b"wave"),
)
"""Boxes that hold others."""

_TABLES = (b"elst", b"hdlr", b"stts", b"stsz", b"stz2", b"trun", b"stco", b"co64", b"stsc")
"""Boxes that say how many samples there are."""

_NOTED = {*_TABLES, b"trak", b"moof", b"cmvd", b"stsd"}
_HEAD = struct.Struct(">I4sQ")


class Box(NamedTuple):
    """A box of an MP4 file, and the span of its content."""

    kind: bytes
    start: int
    stop: int


def check_headers(path: Path, name: str, limits: MediaLimits) -> int:
    """Checks what a file declares.

    Args:
        path: A regular file.
        name: What it is called in messages.
        limits: Of the file.

    Returns:
        Pixels that a frame of it may have.

    Raises:
        ValueError: It declares more than the limits allow.
    """
    with path.open("rb") as file:
        head = file.read(24)
        if head.startswith((b"GIF8", b"\x89PNG")):
            limits.check_size(name, *_canvas(head), kind="animation")
            return limits.animation_pixels
        if head[8:12] == b"WEBP":
            return limits.animation_pixels
        limits.check_held(name, held_bytes(file))
        if limits.held_bytes < UNLIMITED:  # files of other formats have no boxes: 0 samples
            try:
                index = ENTRY_BYTES * declared_samples(file)
            except ValueError as error:
                raise limits.error(f"{name} {error}") from None
            if index > MOST_GROWTH * path.stat().st_size:
                limits.check_held(name, index)
    return limits.video_pixels


def _canvas(head: bytes) -> tuple[int, int]:
    """Width and height of a GIF or PNG by its first 24 bytes."""
    if head.startswith(b"GIF8"):
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


@dataclass(slots=True)
class _Track:
    """What the tables of a track declare."""

    samples: int = 0
    edits: int = 1
    chunks: int = 0
    samples_per_chunk: int = 0  # at most
    sound: bool = False
    unit_samples: bool = False  # each is as long as one tick, as in uncompressed sound

    @property
    def entries(self) -> int:
        """Index entries that FFmpeg makes: one a sample, of uncompressed sound one for 1024."""
        if self.sound and self.unit_samples:
            return self.chunks * -(-self.samples_per_chunk // 1024)
        return self.samples * self.edits

    def note(self, kind: bytes, content: bytes) -> None:
        """Notes a box by its content."""
        words = np.frombuffer(content[: len(content) // 4 * 4].ljust(20, b"\0"), ">u4")
        match kind:
            case b"elst":
                self.edits = max(1, int(words[1]))
            case b"hdlr":
                self.sound |= words[2] == int.from_bytes(b"soun", "big")
            case b"stts":
                self.unit_samples = words[1] == 1 and words[3] == 1
            case b"stsz" | b"stz2":
                self.samples += int(words[2])
            case b"trun":
                self.samples += int(words[1])
            case b"stco" | b"co64":
                self.chunks = int(words[1])
            case b"stsc":
                self.samples_per_chunk = int(words[3::3].max(initial=0))


def declared_samples(file: BinaryIO) -> int:
    """Counts the index entries that FFmpeg makes of an MP4 file.

    Args:
        file: The file. Its position changes.

    Returns:
        Samples of all tracks, each as often as an edit list shows it.

    Raises:
        ValueError: It has too many boxes, or a compressed header that becomes too large.
    """
    size = file.seek(0, 2)
    most = max(MOST_BOXES, size // BYTES_OF_A_BOX)
    total, track, left = 0, _Track(), [most]
    for box in _boxes(file, 0, size, left):
        if box.kind in (b"trak", b"moof"):
            total, track = total + track.entries, _Track()
        elif box.kind == b"cmvd":
            inner = _decompressed(file, box)
            if b"cmvd" in inner:
                raise ValueError("has a compressed header inside of a compressed header")
            total += declared_samples(io.BytesIO(inner))
        elif box.kind == b"stsd":  # FFmpeg takes tables in sample descriptions too
            file.seek(box.start)
            content = file.read(min(box.stop - box.start, LARGEST_DESCRIPTION))
            for found in islice(re.finditer(b"|".join(_TABLES), content), MOST_TABLES):
                track.note(found[0], content[found.end() : found.end() + TABLE_BYTES])
        elif box.kind in _TABLES:
            file.seek(box.start)
            whole = box.stop - box.start
            track.note(box.kind, file.read(whole if box.kind == b"stsc" else min(20, whole)))
    if not left[0]:
        raise ValueError(f"has more than {most:,} boxes")
    return total + track.entries


def _decompressed(file: BinaryIO, box: Box) -> bytes:
    """The header that a box of old QuickTime files holds, compressed."""
    file.seek(box.start + 4)
    try:
        data = zlib.decompressobj().decompress(
            file.read(box.stop - box.start - 4), LARGEST_HEADER + 1
        )
    except zlib.error:  # FFmpeg says what is wrong with it
        return b""
    if len(data) > LARGEST_HEADER:
        raise ValueError(f"has a compressed header of more than {LARGEST_HEADER:,} bytes")
    return data


def _handler(file: BinaryIO, start: int, stop: int) -> int:
    """Where the first box in a `meta` box is: its handler, behind a version in some files.

    FFmpeg looks for it in steps of four bytes.
    """
    file.seek(start)
    content = file.read(min(stop - start, LARGEST_HEADER))
    at = content.find(b"hdlr")
    while at >= 0 and (at % 4 or at < 4):
        at = content.find(b"hdlr", at + 1)
    if at < 0 and stop - start > LARGEST_HEADER:
        raise ValueError(f"has a box of metadata without a handler in {LARGEST_HEADER:,} bytes")
    return stop if at < 0 else start + at - 4


def _boxes(
    file: BinaryIO, at: int, stop: int, left: list[int], depth: int = DEEPEST
) -> Iterator[Box]:
    """The noted boxes of a span, each before those that it holds; `left` counts all of them."""
    while at + 8 <= stop and left[0] > 0:
        left[0] -= 1
        file.seek(at)
        length, kind, large = _HEAD.unpack(file.read(16).ljust(16, b"\0"))
        start = at + 8
        if length == 1:
            length, start = large, at + 16
        end = stop if length == 0 else min(at + length, stop)
        if end < start:
            return
        if kind in _NOTED:
            yield Box(kind, start, end)
        if kind in _FOLDERS and depth:
            yield from _boxes(file, start, end, left, depth - 1)
        if kind == b"meta" and depth:
            yield from _boxes(file, _handler(file, start, end), end, left, depth - 1)
        at = end
