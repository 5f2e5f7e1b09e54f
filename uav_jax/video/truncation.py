"""Whether a file breaks off: what its own structure declares against the bytes that are there.

| container | what declares its length |
|---|---|
| MP4, MOV, 3GP | the sizes of its top-level boxes |
| Matroska, WebM | the size of its segment, and of the last cluster where that is unknown |
| AVI | the sizes of its RIFF chunks |
| others | nothing; the declared duration is compared with the last packet instead |
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from uav_jax.video.matroska import EBML, SEGMENT, element

DURATION_TOLERANCE_SECONDS = 0.5
"""A file without a declared length that ends this much before its duration has broken off."""

MOST_PARTS = 200_000
"""Parts of a file that are looked at; a day of one-second fragments has fewer."""

_BOXES = {
    *(b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"pnot", b"uuid"),
    *(b"mfra", b"sidx", b"ssix", b"meta", b"pdin", b"prft", b"emsg", b"udta", b"PICT"),
}
"""Boxes at the top of a file; other bytes at its end belong to no box."""


def declared_size(path: Path) -> int | None:
    """Returns how many bytes the file says it has.

    Args:
        path: A media file.

    Returns:
        Bytes, or None where its container does not say.
    """
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        if head[4:8] in _BOXES:
            return _last_end(_boxes(file, size), size)
        if head[:4] == EBML.to_bytes(4, "big"):
            return _matroska(file, size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return _last_end(_riff(file, size), size)
    return None


def _last_end(ends: Iterator[int], size: int) -> int:
    return max(islice(ends, MOST_PARTS), default=size)


def _boxes(file: BinaryIO, size: int) -> Iterator[int]:
    """Ends of the top-level boxes of an ISO media file, as far as they are boxes."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or kind not in _BOXES:  # 0: to the end of the file
            return
        yield (at := at + length)


def _riff(file: BinaryIO, size: int) -> Iterator[int]:
    """Ends of the RIFF chunks of an AVI file, which has one for every gigabyte."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):  # written live: unknown
            return
        yield (at := at + 8 + length + length % 2)


def _matroska(file: BinaryIO, size: int) -> int | None:
    header = element(file, 0)
    if header is None or header[2] is None:
        return None
    at = header[1] + header[2]
    segment = element(file, at)
    if segment is None or segment[0] != SEGMENT:
        return None
    if segment[2] is not None:
        return segment[1] + segment[2]
    return _last_end(_clusters(file, segment[1], size), size)


def _clusters(file: BinaryIO, at: int, size: int) -> Iterator[int]:
    """Ends of the elements of a segment of unknown length."""
    while at < size:
        current = element(file, at)
        if current is None or current[2] is None:
            return
        yield (at := current[1] + current[2])
