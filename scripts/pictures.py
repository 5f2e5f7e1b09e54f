"""Makes the pictures of docs/guides.md and docs/web.md with the default model.

    python -m scripts.pictures

Needs the extras "demo", "web" and "test" (Chromium for the page). Everything is drawn from
photographs that scikit-image ships, and from a drawing made here.
"""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvicorn
from PIL import Image, ImageDraw
from skimage import data

from tests.browser import opened
from uav_jax.data.degradation import blur, compress, gaussian_noise, resize, to_bytes
from uav_jax.data.kernels import elliptic_kernel
from uav_jax.demo import bicubic, demo_clip
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.pipeline.upscale import to_bytes as to_frames
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.source import DEFAULT_RATE
from uav_jax.video.write import write_video
from uav_jax.web.server import make_app

DOCS = Path(__file__).parent.parent / "docs"
SIDE, FRAMES = 256, 3


def pan(photo: np.ndarray, top: int, left: int) -> np.ndarray:
    """A clip of a photograph that moves a pixel a frame."""
    return np.stack([photo[top : top + SIDE, left + t : left + t + SIDE] for t in range(FRAMES)])


def drawing() -> np.ndarray:
    """A face in outlines and flat colours."""
    image = Image.new("RGB", (SIDE + 8, SIDE), (150, 200, 235))
    draw = ImageDraw.Draw(image)
    draw.ellipse((50, 30, 210, 230), (255, 224, 196), (40, 20, 20), 4)
    for x in (80, 145):
        draw.ellipse((x, 95, x + 38, 150), (255, 255, 255), (40, 20, 20), 3)
        draw.ellipse((x + 10, 105, x + 32, 145), (60, 110, 60), (20, 20, 20), 3)
        draw.ellipse((x + 16, 112, x + 23, 122), (255, 255, 255))
    draw.arc((105, 150, 155, 200), 20, 160, (120, 30, 30), 4)
    draw.polygon(
        [(40, 90), (70, 20), (130, 10), (200, 25), (220, 95), (170, 55), (90, 60)], "#5a3a22"
    )
    return np.asarray(image)


def degraded(
    clip: np.ndarray, sigma: float, noise: float, crf: int, rng: np.random.Generator
) -> np.ndarray:
    """Blurred, reduced by 4, noisy and compressed."""
    soft = to_bytes(blur(clip, elliptic_kernel("gaussian", 11, sigma, sigma, 0.0)))
    small = resize(soft, SIDE // 4, SIDE // 4, Image.Resampling.BICUBIC)
    grey = noise > 8
    noisy = to_bytes(gaussian_noise(small, np.full(len(small), noise), grey, rng))
    return compress(noisy, crf=crf)


def guides(upscaler: Upscaler) -> Image.Image:
    """Four kinds of footage, before and after."""
    rng = np.random.default_rng(0)
    film = np.repeat(data.astronaut().mean(-1, keepdims=True), 3, -1) * np.array([1.0, 0.9, 0.72])
    kinds = {
        "old film: grain, faded": (pan(to_bytes(film), 0, 90), 1.2, 10.0, 20),
        "drawing: compressed": (pan(drawing(), 0, 0), 0.8, 0.0, 28),
        "AI-generated: soft, clean": (pan(data.coffee(), 60, 180), 1.6, 0.0, 16),
        "camera: dark, noisy, compressed": (pan(data.chelsea(), 20, 90) * 0.6, 1.0, 6.0, 30),
    }
    margin = 22
    sheet = Image.new("RGB", (4 * SIDE + 12, 2 * (SIDE + margin)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (title, (clip, sigma, noise, crf)) in enumerate(kinds.items()):
        small = degraded(clip.astype(np.uint8), sigma, noise, crf, rng)
        made = np.concatenate([to_frames(group) for group in upscaler.upscale(small)])
        x, y = (i % 2) * (2 * SIDE + 12), (i // 2) * (SIDE + margin)
        draw.text((x + 4, y + 5), title, "black")
        for offset, frames in ((0, bicubic(small)), (SIDE, made)):
            sheet.paste(Image.fromarray(frames[1]), (x + offset, y + margin))
    return sheet


def page_pictures(upscaler: Upscaler, folder: Path) -> None:
    """The page with a preview and a result, at both widths."""
    _, small = demo_clip()
    output = OutputFormat(codec="h264", crf=8)
    write_video(folder / "holiday.mp4", small[:4], DEFAULT_RATE, output=output)
    app = make_app(upscaler, folder / "visitors")
    server = uvicorn.Server(uvicorn.Config(app, port=7899, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        for width, name in ((1366, "web_laptop"), (390, "web_phone")):
            with opened("http://127.0.0.1:7899", width, 800) as page:
                page.wait_for_selector("#limits:has-text('Up to')")
                page.set_input_files("#file", folder / "holiday.mp4")
                page.wait_for_selector("#plan:has-text('Result:')", timeout=120_000)
                for button, there in (("#preview", "#preview-result"), ("#start", "#done")):
                    page.click(button)
                    page.wait_for_selector(f"{there}:not([hidden])", timeout=300_000)
                page.wait_for_timeout(1500)
                page.screenshot(path=DOCS / f"{name}.jpg", full_page=True, quality=85)
    finally:
        server.should_exit = True
        thread.join()


def main() -> None:
    """Writes all of them."""
    upscaler = Upscaler.from_pretrained()
    guides(upscaler).save(DOCS / "guides.png", optimize=True)
    with TemporaryDirectory() as folder:
        page_pictures(upscaler, Path(folder))


if __name__ == "__main__":
    main()
