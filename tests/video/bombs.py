"""Small files that ask for much, each made by code.

`FILES` are refused by every reader, `UPLOADS` by the page alone, whose limits are lower.
"""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

HOLE = 300_000_000
"""Bytes of an attachment that takes no space on a disk."""

MANY = 60_000_000
"""Samples that a file of a kilobyte declares; FFmpeg's index of them takes 2 GB."""


def gif(width: int, height: int) -> bytes:
    """One frame in 42 bytes."""
    screen = struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02\x02\x44\x01\0\x3b"
    return b"GIF89a" + screen + frame


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A grey picture whose pixels are missing, with chunks before them."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1 << 16)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(width: int, height: int, pages: int = 1) -> bytes:
    """Deflated grey pages; each points to the same kilobyte of zeros."""
    strip = zlib.compress(bytes(1 << 16))
    out = bytearray(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip)
    for page in range(pages):
        tags = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (273, 8)]
        tags += [(277, 1), (278, height), (279, len(strip))]
        out += struct.pack("<H", len(tags))
        out += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        out += struct.pack("<I", len(out) + 4 if page + 1 < pages else 0)
    return bytes(out)


def webp(side: int) -> bytes:
    """A lossless picture whose header says another size."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "WEBP", lossless=True)
    data = bytearray(buffer.getvalue())
    at = data.find(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little") >> 28 << 28
    data[at : at + 4] = (bits | (side - 1) << 14 | (side - 1)).to_bytes(4, "little")
    return bytes(data)


def bmp(width: int, height: int) -> bytes:
    """A run-length encoded picture without pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 14 + 40 + 1024) + info + bytes(1024) + b"\0\1"


def encoded(path: Path, frames: int = 1, rate: int = 25, **options: str) -> bytearray:
    """An MPEG-4 video whose frames repeat the first one, as it was written to `path`."""
    black = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.options = {"g": "600", "sc_threshold": "1000000000"}
        stream.codec_context.time_base = Fraction(1, rate)
        for number in range(frames):
            black.pts = number
            out.mux(stream.encode(black))
        out.mux(stream.encode())
    return bytearray(path.read_bytes())


def put(data: bytearray, box: bytes, offset: int, value: int) -> None:
    """Overwrites a number in the content of a box."""
    at = data.find(box) + 4 + offset
    data[at : at + 4] = value.to_bytes(4, "big")


def many_samples(path: Path) -> bytes:
    """An MP4 file of one frame that declares many."""
    data = encoded(path)
    for box, offset in ((b"stsz", 8), (b"stsc", 12), (b"stts", 8)):
        put(data, box, offset, MANY)
    return bytes(data)


def many_in_a_fragment(path: Path) -> bytes:
    """The same in a fragment, whose samples have neither a size nor a time of their own."""
    data = encoded(path, movflags="frag_keyframe+empty_moov+default_base_moof")
    put(data, b"trun", 0, 1)
    put(data, b"trun", 4, MANY)
    return bytes(data)


def many_edits(path: Path) -> bytes:
    """A list of 40,000 edits that each show 600 frames."""
    data, count = encoded(path, 600), 40_000
    at = data.find(b"elst")
    entry = bytes(data[at + 12 : at + 24])
    data[at + 12 : at + 24] = entry * count
    put(data, b"elst", 4, count)
    for box in (b"elst", b"edts", b"trak", b"moov"):
        start = data.find(box) - 4
        length = int.from_bytes(data[start : start + 4], "big") + len(entry) * (count - 1)
        data[start : start + 4] = length.to_bytes(4, "big")
    return bytes(data)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def compressed_header(path: Path) -> bytes:
    """A QuickTime header of 300 MB in 300 KB."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    inside = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 300 << 20) + packed)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"cmov", inside))


def much_sound(path: Path) -> bytes:
    """Uncompressed sound in chunks of four billion samples."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), "s16", "mono")
        frame.sample_rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    data = bytearray(path.read_bytes())
    put(data, b"stsc", 12, 2**32 - 1)
    return bytes(data)


def many_a_second(path: Path) -> bytes:
    """6000 frames in a tenth of a second."""
    return bytes(encoded(path, 6000, rate=60_000))


def jpeg(width: int, height: int) -> bytes:
    """A JPEG file whose header says another size."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    at = data.find(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def vp8(path: Path, *sides: int) -> bytes:
    """A keyframe for each side, in whose header that side was put."""
    noise = np.random.RandomState(0).randint(0, 256, (32, 32, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.options = {"g": "1", "lag-in-frames": "0"}
        for _ in sides:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        out.mux(stream.encode())
    parts = path.read_bytes().split(b"\x9d\x01\x2a")
    sizes = [struct.pack("<HH", side, side) for side in sides]
    frames = (size + part[4:] for size, part in zip(sizes, parts[1:], strict=True))
    return b"\x9d\x01\x2a".join([parts[0], *frames])


def element(kind: int, content: bytes) -> bytes:
    """An EBML element."""
    size = (len(content) | 1 << 56).to_bytes(8, "big")
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + size + content


def matroska(*children: bytes) -> bytes:
    """A Matroska file with these parts of its segment."""
    head = element(0x1A45DFA3, element(0x4282, b"matroska"))
    return head + element(0x18538067, b"".join(children))


def many_tracks(path: Path) -> bytes:
    """3000 subtitle tracks."""
    tracks = (
        element(
            0xAE,
            element(0xD7, number.to_bytes(2, "big"))
            + element(0x73C5, number.to_bytes(2, "big"))
            + element(0x83, b"\x11")
            + element(0x86, b"S_TEXT/UTF8"),
        )
        for number in range(1, 3001)
    )
    return matroska(element(0x1654AE6B, b"".join(tracks)), element(0x1F43B675, b""))


def much_attached(path: Path) -> bytes:
    """The start of 300 MB of attachments; `make_bombs` adds the rest as a hole."""
    head = matroska(element(0x1654AE6B, b""))
    size = (HOLE | 1 << 56).to_bytes(8, "big")
    data = struct.pack(">H", 0x465C) + (HOLE - 22 | 1 << 56).to_bytes(8, "big")
    attached = struct.pack(">H", 0x61A7) + (HOLE - 12 | 1 << 56).to_bytes(8, "big")
    segment = head.find(b"\x18\x53\x80\x67") + 4
    length = len(head) - segment - 8 + 12 + HOLE
    head = head[:segment] + (length | 1 << 56).to_bytes(8, "big") + head[segment + 8 :]
    return head + struct.pack(">I", 0x1941A469) + size + attached + data


def many_ogg_streams(path: Path) -> bytes:
    """30,000 logical streams, for each of which FFmpeg allocates a buffer."""
    page = "OggS\0\2" + "\0" * 8
    return b"".join(
        page.encode() + struct.pack("<III", number, 0, 0) + b"\1\1\0" for number in range(30_000)
    )


def _text_chunks() -> bytes:
    """Compressed text that becomes 200 MB."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000))) * 200


FILES = {
    "canvas.gif": lambda path: gif(10_000, 10_000),
    "canvas.apng": lambda path: png(20_000, 20_000),
    "samples.mp4": many_samples,
    "fragment.mp4": many_in_a_fragment,
    "edits.mp4": many_edits,
    "header.mov": compressed_header,
    "rate.mp4": many_a_second,
    "large.webm": lambda path: vp8(path, 16_383),
    "large.ivf": lambda path: vp8(path, 16_383),
    "growing.webm": lambda path: vp8(path, 32, 32, 16_383, 16_383),
    "tracks.mkv": many_tracks,
    "attached.mkv": much_attached,
    "streams.ogv": many_ogg_streams,
    "pixels.png": lambda path: png(20_000, 20_000),
    "pixels.tif": lambda path: tiff(20_000, 20_000),
    "pixels.webp": lambda path: webp(16_383),
    "pixels.bmp": lambda path: bmp(30_000, 30_000),
    "pixels.jpg": lambda path: jpeg(60_000, 60_000),
    "narrow.png": lambda path: png(1_000_000, 1),
    "text.png": lambda path: png(8, 8, _text_chunks()),
    "profile.png": lambda path: png(
        8, 8, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(8_000_000)))
    ),
}

UPLOADS = {
    "canvas_small.gif": lambda path: gif(3000, 3000),
    "rate_small.mp4": lambda path: bytes(encoded(path, 1800, rate=60_000)),
    "pixels_small.png": lambda path: png(6000, 6000),
    "narrow_small.png": lambda path: png(2000, 10),
}


def make_bombs(folder: Path) -> list[Path]:
    """Writes all of them; returns their paths."""
    for name, make in (FILES | UPLOADS).items():
        path = folder / name
        path.write_bytes(make(path))
        if make is much_attached:
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size + HOLE)
    return [folder / name for name in FILES | UPLOADS]
