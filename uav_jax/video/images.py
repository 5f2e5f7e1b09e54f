"""Pictures: read upright and in sRGB, written whole."""

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import IO, cast

import av
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from uav_jax.video.color import Pixels, over_black, to_8_bit
from uav_jax.video.containers import MEDIA_ERRORS, check_regular_file, open_buffer, shown
from uav_jax.video.limits import DEFAULT_LIMITS, UNLIMITED, LimitError, MediaLimits

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""File names that are taken for pictures; all of them can be written too."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
"""Pillow's readers that are used: none that starts another program."""

PICTURE_ERRORS = (*MEDIA_ERRORS, OSError, SyntaxError, ValueError, RuntimeError, struct.error)
"""What Pillow raises at damaged files; those of 16 bits are read by FFmpeg."""

MOST_PAGES = 1000
"""Pages of a TIFF file that are counted."""

SAVE_OPTIONS: dict[str, dict] = {
    ".png": {"compress_level": 3},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95, "method": 4},
}
LARGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383, ".png": 2**31 - 1, ".bmp": 2**31 - 1}
"""Pixels a side that a format can hold."""

WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
DEEP = (".png", ".tif", ".tiff")
"""Formats that hold alpha, and 16 bits per channel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """`pixels` are `(H, W, 3)` or `(H, W, 4)`, uint8 or uint16; what else the file carried."""

    pixels: Pixels
    profile: bytes | None = None  # ICC; None: sRGB
    exif: bytes | None = None  # without the orientation, which is applied
    frames: int = 1  # pictures in the file, of which this is the first

    @property
    def has_alpha(self) -> bool:
        """Whether there is a fourth channel and it is not opaque everywhere."""
        return self.pixels.shape[2] == 4 and bool(
            (self.pixels[..., 3] < np.iinfo(self.pixels.dtype).max).any()
        )

    def opaque(self) -> Pixels:
        """Returns the colours over black."""
        return over_black(self.pixels) if self.pixels.shape[2] == 4 else self.pixels


def natural_order(path: Path) -> list:
    """Sorting key under which frame 2 comes before frame 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def image_files(folder: Path) -> list[Path]:
    """Returns the pictures of a folder in natural order; hidden files are left out."""
    files = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    visible = (p for p in files if not p.name.startswith(".") and not p.is_dir())
    return sorted(visible, key=natural_order)


def read_picture(
    path: Path,
    *,
    deep: bool | None = None,
    keep_profile: bool = False,
    limits: MediaLimits = DEFAULT_LIMITS,
) -> Picture:
    """Reads a picture: orientation applied, in sRGB.

    Args:
        path: A picture file.
        deep: uint16 values; None gives them where the file has more than 8 bits per channel.
        keep_profile: Leave an RGB picture in its own colour space and return its profile.
        limits: Of its size.

    Raises:
        ValueError: It cannot be read, or is larger than the limits allow.
    """
    check_regular_file(path)
    with path.open("rb") as file:
        picture = _opened(shown(path), file, keep_profile, limits)
    if deep is None or (picture.pixels.dtype == np.uint16) == deep:
        return picture
    values = picture.pixels.astype(np.uint16) * 257 if deep else to_8_bit(picture.pixels)
    return replace(picture, pixels=values)


def decode_picture(data: bytes, name: str, limits: MediaLimits = DEFAULT_LIMITS) -> Picture:
    """Decodes the bytes of a picture file, which messages call `name`; see `read_picture`."""
    return _opened(name, io.BytesIO(data), False, limits)


_PILLOW = Lock()
"""Held while Pillow's own limit, which is one for the whole process, is that of a file."""


def _image(file: IO[bytes], limits: MediaLimits) -> Image.Image:
    """Reads a picture's header. Pillow, too, compares its size with the limit: it allocates WebP's
    canvas here, and by itself it refuses photographs of 180 million pixels."""
    with _PILLOW:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = -(-limits.image_pixels // 2)  # it refuses twice as many
        try:
            return Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _opened(name: str, file: IO[bytes], keep_profile: bool, limits: MediaLimits) -> Picture:
    try:
        # Pillow warns of damaged metadata, which is left out.
        with warnings.catch_warnings(action="ignore"), _image(file, limits) as image:
            limits.check_size(name, image.width, image.height, "image")
            return _converted(file, image, keep_profile, limits)
    except UnidentifiedImageError:
        raise ValueError(
            f"{name} cannot be read as an image: it is none of {', '.join(FORMATS)}"
        ) from None
    except Image.DecompressionBombError:
        raise limits.error(f"{name} has more than {limits.image_pixels:,} pixels") from None
    except LimitError:
        raise
    except PICTURE_ERRORS as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from error


def _pictures_in(image: Image.Image) -> int:
    """How many pictures a file holds; of TIFF files, which are walked through, up to `MOST_PAGES`.

    Pages of other formats are counted in the header.
    """
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1)
    count = 1
    while count < MOST_PAGES:
        try:
            image.seek(count)
        except EOFError:
            break
        count += 1
    image.seek(0)
    return count


def _converted(
    file: IO[bytes], image: Image.Image, keep_profile: bool, limits: MediaLimits
) -> Picture:
    frames = _pictures_in(image)
    deep = _bits(image) > 8
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    exif = upright.getexif().tobytes() if upright.getexif() else None
    if image.mode == "F" or (deep and image.mode not in ("RGB", "RGBA")):
        return Picture(pixels=_deep_grey(upright), exif=exif, frames=frames)
    if deep and (keep_profile or not profile):
        kept = profile if keep_profile else None
        pixels = _deep_pixels(file, image, limits)
        return Picture(pixels=pixels, profile=kept, exif=exif, frames=frames)
    has_alpha = upright.mode in ("RGBA", "LA", "PA", "La", "RGBa")
    if has_alpha or "transparency" in image.info:
        upright = upright.convert("RGBA")
    kept = profile if keep_profile and upright.mode in ("RGB", "RGBA") else None
    rgb = upright if kept else _srgb(upright, profile)
    return Picture(pixels=np.array(rgb), profile=kept, exif=exif, frames=frames)


def _deep_grey(image: Image.Image) -> Pixels:
    """Grey pictures of 16 bits, or of floating-point values from 0 to 1."""
    values = np.asarray(image, np.float64)
    if image.mode == "F":
        values = values * 65535
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f"its values reach from {values.min():g} to {values.max():g}; expected 16 bits, or "
            "floating-point values from 0 to 1"
        )
    return np.repeat(np.rint(values).astype(np.uint16)[..., None], 3, 2)


def _bits(image: Image.Image) -> int:
    """Bits per channel of the file, which Pillow itself reads as 8 where it is RGB."""
    if image.mode.startswith("I"):
        return 16
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, (8,))  # pyright: ignore[reportAttributeAccessIssue]
        return max(bits) if isinstance(bits, tuple) else int(bits)
    tiles = getattr(image, "tile", ())
    modes = [args if isinstance(args, str) else args[0] for *_, args in tiles if args]
    return 16 if image.format == "PNG" and any("16" in str(mode) for mode in modes) else 8


def _deep_pixels(file: IO[bytes], image: Image.Image, limits: MediaLimits) -> Pixels:
    """16 bits per channel through FFmpeg, turned as EXIF says."""
    turn = {2: (1, 0), 3: (0, 2), 4: (1, 2), 5: (1, 1), 6: (0, 3), 7: (1, 3), 8: (0, 1)}
    pixels = f"{min(limits.image_pixels, UNLIMITED)}"
    only = {"format_whitelist": "png_pipe,tiff_pipe", "max_pixels": pixels}
    file.seek(0)
    with open_buffer(io.BytesIO(file.read()), "r", options=only) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"max_pixels": pixels}
        frame = next(container.decode(stream))
    name = "rgba64le" if image.mode == "RGBA" else "rgb48le"
    array = frame.to_ndarray(format=name)
    flipped, turns = turn.get(image.getexif().get(0x0112, 1), (0, 0))
    array = array[:, ::-1] if flipped else array
    return np.ascontiguousarray(np.rot90(array, turns))


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in sRGB, by its profile where that can be used; alpha is kept."""
    if image.mode == "RGBA":
        rgb = _srgb(image.convert("RGB"), profile)
        rgb.putalpha(image.getchannel("A"))
        return rgb
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if made is not None:
                return made
        except (ImageCms.PyCMSError, OSError):  # a damaged profile: as without one
            pass
    return image.convert("RGB")


def check_picture(path: Path, height: int, width: int) -> None:
    """Raises `ValueError` where a picture of this size cannot be in a file of this name."""
    largest = LARGEST.get(path.suffix.lower(), 2**31 - 1)
    if max(height, width) > largest:
        raise ValueError(
            f"{shown(path)}: {width}x{height} is more than {path.suffix} can hold ({largest} a "
            "side); use .png, or a smaller --scale or --height"
        )


def write_picture(path: Path, picture: Picture, suffix: str | None = None) -> None:
    """Writes a picture in the format of its name, or of `suffix`.

    Alpha is composited over black and 16 bits are rounded to 8 where the format holds neither.
    """
    suffix = (suffix or path.suffix).lower()
    pixels = picture.pixels if suffix in WITH_ALPHA else picture.opaque()
    if pixels.dtype == np.uint16 and suffix in DEEP:
        data = _encoded(pixels, "png" if suffix == ".png" else "tiff")
        path.write_bytes(_with_profile(data, picture.profile) if suffix == ".png" else data)
        return
    extra = {"icc_profile": picture.profile, "exif": picture.exif}
    extra = {name: value for name, value in extra.items() if value and suffix != ".bmp"}
    kind = {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
    Image.fromarray(to_8_bit(pixels)).save(
        path, format=kind, **SAVE_OPTIONS.get(suffix, {}), **extra
    )


def _with_profile(data: bytes, profile: bytes | None) -> bytes:
    """A PNG file with an ICC profile (the chunk iCCP behind the header)."""
    if not profile:
        return data
    content = b"iCCP" + b"ICC profile\0\0" + zlib.compress(profile)
    length = (len(content) - 4).to_bytes(4, "big")
    chunk = length + content + zlib.crc32(content).to_bytes(4, "big")
    header = 8 + 25  # the signature and the chunk IHDR
    return data[:header] + chunk + data[header:]


def _encoded(pixels: Pixels, encoder: str) -> bytes:
    """A picture of 16 bits per channel, which Pillow cannot write."""
    names = {("png", 3): "rgb48be", ("png", 4): "rgba64be"}
    names |= {("tiff", 3): "rgb48le", ("tiff", 4): "rgba64le"}
    source = "rgba64le" if pixels.shape[2] == 4 else "rgb48le"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), source)
    frame = frame.reformat(format=names[encoder, pixels.shape[2]])
    context = cast(av.VideoCodecContext, av.CodecContext.create(encoder, "w"))
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1, 25)
    return b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])
