"""Pictures in and out."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from uav_jax.video import images
from uav_jax.video.images import (
    Picture,
    check_picture,
    image_files,
    read_picture,
    write_picture,
)
from uav_jax.video.limits import DEFAULT_LIMITS


def test_orientation_is_applied(cases):
    pixels = read_picture(cases / "exif.jpg").pixels
    assert pixels.shape == (40, 20, 3)
    assert pixels[3, 16, 0] > 200 and pixels[3, 3, 2] > 200  # red at the top right


def test_cmyk_becomes_rgb(cases):
    assert np.abs(read_picture(cases / "cmyk.jpg").pixels.astype(int) - (255, 0, 0)).max() < 8


def test_grey_palette_and_transparent_pictures_become_rgb(tmp_path):
    Image.new("RGBA", (4, 3), (255, 255, 255, 0)).save(tmp_path / "a.png")
    Image.new("L", (4, 3), 90).save(tmp_path / "b.png")
    Image.new("P", (4, 3), 0).save(tmp_path / "c.png")
    opaque = [read_picture(tmp_path / f"{n}.png").opaque() for n in "abc"]
    assert all(p.shape == (3, 4, 3) for p in opaque)
    assert [int(p.max()) for p in opaque] == [0, 90, 0]  # transparent white is over black


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_survive_writing_and_reading(tmp_path, suffix, channels):
    pixels = np.random.RandomState(0).randint(0, 65536, (9, 7, channels), np.uint16)
    path = tmp_path / f"a{suffix}"
    write_picture(path, Picture(pixels=pixels))
    assert np.array_equal(read_picture(path).pixels, pixels)
    assert np.abs(read_picture(path, deep=False).pixels - pixels / 257).max() <= 0.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_as_others_are(tmp_path, orientation):
    pixels = np.random.RandomState(0).randint(0, 256, (6, 4, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with (tmp_path / "a.png").open("rb") as file, Image.open(tmp_path / "a.png") as image:
        deep = images._deep_pixels(file, image, DEFAULT_LIMITS)
    usual = read_picture(tmp_path / "a.png").pixels
    assert deep.shape == usual.shape and np.abs(deep / 257 - usual).max() < 2


def profile_of(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def test_a_profile_is_kept_or_converted(tmp_path):
    pixels = np.full((4, 4, 3), (200, 50, 50), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile_of("sRGB"))
    kept = read_picture(tmp_path / "a.png", keep_profile=True)
    assert kept.profile and np.array_equal(kept.pixels, pixels)
    converted = read_picture(tmp_path / "a.png")
    assert converted.profile is None and np.abs(converted.pixels.astype(int) - pixels).max() <= 1
    write_picture(tmp_path / "b.jpg", kept)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["icc_profile"] == kept.profile


def test_a_damaged_picture_is_named_in_one_line(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    (tmp_path / "2.png").write_bytes(buffer.getvalue()[:60])
    (tmp_path / "eps.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    for name in ("2.png", "eps.png"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as an image"):
            read_picture(tmp_path / name)


def test_folders_sort_naturally_and_hidden_files_are_left_out(tmp_path):
    for name in ("10.png", "2.png", ".1.png", "a1.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in image_files(tmp_path)] == ["2.png", "10.png", "a1.png"]


def test_sizes_that_a_format_cannot_hold_are_said(tmp_path):
    check_picture(tmp_path / "a.png", 20000, 20000)
    with pytest.raises(ValueError, match=r"20000x4 is more than \.webp can hold \(16383 a side\)"):
        check_picture(tmp_path / "a.webp", 4, 20000)


def p3_profile():
    """A profile with other primaries than sRGB's: that of XYZ serves."""
    return (
        profile_of("LAB")
        if False
        else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        .tobytes()
        .replace(b"rXYZ", b"tXYZ")
        .replace(b"gXYZ", b"rXYZ")
        .replace(b"tXYZ", b"gXYZ")
    )


def test_a_profile_is_applied_once_or_handed_on(tmp_path):
    pixels = np.full((4, 4, 3), (200, 50, 60), np.uint8)
    for mode in ("RGB", "RGBA"):
        Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png", icc_profile=p3_profile())
        kept = read_picture(tmp_path / "a.png", keep_profile=True)
        assert kept.profile == p3_profile() and np.array_equal(kept.opaque(), pixels)
        converted = read_picture(tmp_path / "a.png")
        assert converted.profile is None
        assert np.abs(converted.opaque().astype(int) - pixels).max() > 50  # red and green change


def test_a_profile_survives_16_bits(tmp_path):
    pixels = np.full((4, 4, 3), (50000, 9000, 3000), np.uint16)
    picture = Picture(pixels=pixels, profile=profile_of("sRGB"))
    write_picture(tmp_path / "a.png", picture)
    again = read_picture(tmp_path / "a.png", keep_profile=True)
    assert np.array_equal(again.pixels, pixels) and again.profile == picture.profile
    assert read_picture(tmp_path / "a.png").pixels.shape == (4, 4, 3)


@pytest.mark.parametrize("width", [54, 160, 416])
def test_pictures_whose_rows_have_odd_lengths_are_no_deep_ones(tmp_path, width):
    for mode in ("P", "RGB"):
        Image.new("L", (width, 4), 200).convert(mode).save(tmp_path / "a.bmp")
        assert read_picture(tmp_path / "a.bmp").pixels[0, 0].tolist() == [200, 200, 200]


def test_floating_point_pictures_are_those_from_0_to_1(tmp_path):
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "a.tif")
    assert abs(int(read_picture(tmp_path / "a.tif").pixels[0, 0, 0]) - 32768) <= 1
    Image.fromarray(np.full((4, 4), 300.0, np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(ValueError, match="its values reach from"):
        read_picture(tmp_path / "b.tif")
