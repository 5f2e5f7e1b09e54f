"""Eet archives: the photographs are found, other entries are not."""

import struct

from uav_jax.data.packages import eet_jpegs


def archive(entries):
    """An Eet file: a header, a table, the names, the data."""
    table, names, data = b"", b"", b""
    names_at = 12 + 24 * len(entries)
    data_at = names_at + sum(len(name) + 1 for name, _ in entries)
    for name, content in entries:
        row = (data_at + len(data), len(content), len(content), names_at + len(names))
        table += struct.pack(">6I", *row, len(name) + 1, 0)
        names += name + b"\0"
        data += content
    return struct.pack(">3I", 0x1EE7FF00, len(entries), 0) + table + names + data


def test_jpegs_of_images_are_found_largest_first():
    small, large = b"\xff\xd8small", b"\xff\xd8large enough"
    entries = [
        (b"edje/images/0", small),
        (b"edje/file", b"\xff\xd8not an image entry, though long"),
        (b"edje/images/1", b"no jpeg at all"),
        (b"edje/images/2", large),
    ]
    assert eet_jpegs(archive(entries)) == [large, small]
