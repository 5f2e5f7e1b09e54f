"""Small clips that tests make."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def smooth_frames(count, height, width):
    y, x, t = np.mgrid[:height, :width, :count].transpose(0, 3, 1, 2)
    planes = [x * 200 / width + t * 3, y * 200 / height, 120 + 0 * x]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def make_video(path: Path, frames, pts, *, time_base=Fraction(1, 25), audio=False, transfer=None):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.codec_context.time_base = stream.time_base = time_base
        stream.options = {"crf": "1"}
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        sound = out.add_stream("aac", rate=44100, layout="stereo") if audio else None
        for image, time in zip(frames, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if sound is not None:
            tone = (np.sin(np.arange(44100) / 20) * 9000).astype(np.int16).repeat(2)[None]
            frame = av.AudioFrame.from_ndarray(tone, "s16", "stereo")
            frame.sample_rate = 44100
            out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


def audio_packets(path):
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [(p.pts, bytes(p)) for p in packets if p.size]
