"""The elements of a Matroska file, as far as sizes are concerned."""

from typing import BinaryIO

EBML, SEGMENT, CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
SEEK_HEAD, SEEK, SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AC
HELD = (0x1941A469, 0x1254C367, 0x1043A770, 0x1C53BB6B)
"""Attachments, tags, chapters and cues: FFmpeg holds them in memory."""

MOST_ELEMENTS = 10_000
"""Elements before the first cluster, and entries of seek heads, that are looked at."""


def element(file: BinaryIO, at: int) -> tuple[int, int, int | None] | None:
    """(id, start of the content, its length or None where unknown) of an EBML element."""
    try:
        file.seek(at)
    except (OSError, ValueError):  # a position that no file can have
        return None
    head = file.read(12)
    if not head or not head[0]:
        return None
    wide = 9 - head[0].bit_length()
    if wide > 4 or len(head) <= wide or not head[wide]:
        return None
    long = 9 - head[wide].bit_length()
    if len(head) < wide + long:
        return None
    length = int.from_bytes(head[wide : wide + long], "big") & ((1 << 7 * long) - 1)
    unknown = length == (1 << 7 * long) - 1
    return int.from_bytes(head[:wide], "big"), at + wide + long, None if unknown else length


def held_bytes(file: BinaryIO) -> int:
    """Counts the bytes of a file that FFmpeg holds in memory while it is open.

    Args:
        file: The file. Its position changes.

    Returns:
        Bytes of attachments, tags, chapters and cues, before the first cluster and where the
        seek head says; 0 for other files.
    """
    size = file.seek(0, 2)
    head = element(file, 0)
    if head is None or head[0] != EBML or head[2] is None:
        return 0
    segment = element(file, head[1] + head[2])
    if segment is None or segment[0] != SEGMENT:
        return 0
    found, seen, pending, budget = {}, set(), [(segment[1], size)], [MOST_ELEMENTS]
    while pending and budget[0] > 0:
        budget[0] -= 1
        at, stop = pending.pop()
        current = element(file, at) if at < stop and at not in seen else None
        seen.add(at)
        if current is None:
            continue
        kind, start, length = current
        end = size if length is None else min(start + length, size)
        if kind in HELD:
            found[at] = end - start
        if kind == SEEK_HEAD:
            positions = (segment[1] + p for p in _positions(file, start, end, budget))
            pending += [(at, at + 1) for at in positions if at not in seen]
        if kind != CLUSTER and length is not None:
            pending.append((end, stop))
    return sum(found.values())


def _positions(file: BinaryIO, at: int, stop: int, budget: list[int]) -> list[int]:
    """Where the seek head between two positions says that elements are, counted in the segment."""
    found = []
    while at < stop and budget[0] > 0:
        budget[0] -= 1
        current = element(file, at)
        if current is None:
            break
        kind, start, length = current
        if length is None:
            break
        if kind == SEEK_POSITION:
            file.seek(start)
            found.append(int.from_bytes(file.read(min(length, 8)), "big"))
        at = start if kind == SEEK else start + length
    return found
