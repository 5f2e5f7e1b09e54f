"""``infer.py --demo``: the first thing that a new user runs."""

from PIL import Image
from rich.console import Console

from uav_jax.cli import parser
from uav_jax.demo import FRAMES, HEIGHT, PHOTOS, WIDTH, run_demo
from uav_jax.video.read import read_frames


def test_the_demo_beats_bicubic_and_shows_it(tmp_path):
    options = parser().parse_args(["--demo", "-o", str(tmp_path)])
    results = run_demo(tmp_path, options, Console(quiet=True))
    assert list(results) == ["bicubic", "uav_jax"]
    distance = {name: scores["LPIPS (lower is better)"] for name, scores in results.items()}
    assert distance["uav_jax"] < 0.95 * distance["bicubic"]
    fidelity = {name: scores["PSNR (dB, RGB)"] for name, scores in results.items()}
    assert fidelity["uav_jax"] > fidelity["bicubic"] - 1.5
    frames = read_frames(tmp_path / "demo_upscaled.mp4")
    assert frames.shape == (FRAMES * len(PHOTOS), HEIGHT, WIDTH, 3)
    with Image.open(tmp_path / "demo_compare.png") as picture:
        assert picture.width == 3 * WIDTH
