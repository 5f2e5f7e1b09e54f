"""Camera motion: what a path says is what the pixels do."""

import numpy as np
from PIL import Image

from uav_jax.data.motion import CameraPath, camera_clip, random_path


def smooth_photo(height=120, width=160):
    y, x = np.mgrid[:height, :width]
    planes = [127 + 100 * np.sin(x / 9 + i) * np.cos(y / 7 - i) for i in range(3)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


def test_whole_pixel_pans_copy_pixels():
    photo = smooth_photo()
    path = CameraPath(centre=(60.0, 50.0), velocity=(3.0, -2.0))
    clip = camera_clip(photo, path, 40, 32, 4)
    pixels = np.asarray(photo)
    for t, frame in enumerate(clip):
        y, x = 50 - 16 - 2 * t, 60 - 20 + 3 * t
        np.testing.assert_array_equal(frame, pixels[y : y + 32, x : x + 40])


def test_zoom_and_turn_keep_the_middle():
    photo = smooth_photo()
    path = CameraPath(centre=(80.5, 60.5), angle=0.3, zoom=1.2)
    clip = camera_clip(photo, path, 41, 41, 4).astype(int)
    assert np.abs(clip[:, 20, 20] - clip[0, 20, 20]).max() <= 2
    assert np.abs(clip[3] - clip[0]).mean() > 10


def test_random_paths_stay_inside_the_photo():
    white = Image.new("RGB", (200, 150), (255, 255, 255))
    for seed in range(40):
        path = random_path(np.random.default_rng(seed), white, 96, 96, 8)
        assert camera_clip(white, path, 96, 96, 8).min() == 255  # outside would be black
