"""ncnn files of small networks with random weights, and what ncnn itself makes of them."""

from pathlib import Path

import numpy as np

TAG = 0x01306B47


class Writer:
    """Collects layers and weights."""

    def __init__(self, seed: int = 0):
        self._lines, self._blobs, self._weights = ["Input data 0 1 data"], 1, b""
        self._rng = np.random.RandomState(seed)

    def layer(self, kind: str, inputs: list[str], output: str, parameters: str = "") -> str:
        """A layer of one output, named after it; returns the output."""
        self._lines.append(
            f"{kind} {kind}_{output} {len(inputs)} 1 {' '.join(inputs)} {output} {parameters}"
        )
        self._blobs += 1
        return output

    def split(self, blob: str, count: int) -> list[str]:
        """So many copies of a blob: ncnn's blobs have one reader each."""
        copies = [f"{blob}_{i}" for i in range(count)]
        self._lines.append(f"Split split_{blob} 1 {count} {blob} {' '.join(copies)}")
        self._blobs += count
        return copies

    def conv(
        self, blob: str, shape: tuple[int, int], output: str, *, half: bool = True, leaky=False
    ) -> str:
        """A 3x3 convolution of ``shape`` (in, out) channels."""
        channels_in, channels_out = shape
        kernel = self._rng.standard_normal((channels_out, channels_in, 3, 3))
        kernel = (kernel / np.sqrt(9 * channels_in)).astype("<f2" if half else "<f4")
        data = kernel.tobytes()
        self._weights += (
            np.array(TAG if half else 0, "<u4").tobytes() + data + b"\0" * (-len(data) % 4)
        )
        self._weights += (0.1 * self._rng.standard_normal(channels_out)).astype("<f4").tobytes()
        parameters = f"0={channels_out} 1=3 4=1 5=1 6={kernel.size}"
        parameters += " 9=2 -23310=1,2.000000e-01" if leaky else ""
        return self.layer("Convolution", [blob], output, parameters)

    def prelu(self, blob: str, channels: int, output: str) -> str:
        """A leaky ReLU with random slopes."""
        self._weights += self._rng.uniform(0, 0.5, channels).astype("<f4").tobytes()
        return self.layer("PReLU", [blob], output, f"0={channels}")

    def write(self, folder: Path) -> tuple[Path, Path]:
        """The ``.param`` and the ``.bin`` file."""
        param, weights = folder / "net.param", folder / "net.bin"
        head = ["7767517", f"{len(self._lines)} {self._blobs}"]
        param.write_text("\n".join([*head, *self._lines]) + "\n")
        weights.write_bytes(self._weights)
        return param, weights


def write_trunk(folder: Path, width: int, depth: int = 16) -> tuple[Path, Path]:
    """A network of realesr-animevideov3's shape; its first convolution is float32."""
    net = Writer()
    enlarged, x = net.split("data", 2)
    for i in range(depth + 1):
        x = net.conv(x, (width if i else 3, width), f"c{i}", half=i > 0)
        x = net.prelu(x, width, f"p{i}")
    x = net.layer("PixelShuffle", [net.conv(x, (width, 48), "last")], "shuffled", "0=4")
    enlarged = net.layer("Interp", [enlarged], "enlarged", "0=1 1=4.0 2=4.0")
    net.layer("BinaryOp", [x, enlarged], "output")
    return net.write(folder)


def write_rrdb(folder: Path, width: int, growth: int) -> tuple[Path, Path]:
    """A network of Real-ESRGAN x4plus' shape with one block."""
    net = Writer()
    skip, whole, x = net.split(net.conv("data", (3, width), "first"), 3)
    for d in range(3):
        parts = net.split(x, 6)
        grown: list[list[str]] = [parts]
        y = parts.pop()
        for c in range(4):
            y = net.conv(y, (width + c * growth, growth), f"d{d}c{c}", leaky=True)
            grown.append(net.split(y, 4 - c))
            y = net.layer("Concat", [copies.pop() for copies in grown], f"d{d}cat{c}")
        y = net.conv(y, (width + 4 * growth, width), f"d{d}c4")
        x = net.layer(
            "Eltwise", [y, parts.pop()], f"d{d}", "0=1 -23301=2,2.000000e-01,1.000000e+00"
        )
    x = net.layer("Eltwise", [x, whole], "block", "0=1 -23301=2,2.000000e-01,1.000000e+00")
    x = net.layer("BinaryOp", [skip, net.conv(x, (width, width), "body")], "sum")
    for i in range(2):
        x = net.layer("Interp", [x], f"up{i}", "0=1 1=2.000000e+00 2=2.000000e+00")
        x = net.conv(x, (width, width), f"u{i}", leaky=True)
    net.conv(net.conv(x, (width, width), "hr", leaky=True), (width, 3), "output")
    return net.write(folder)


def run_ncnn(files: tuple[Path, Path], image: np.ndarray) -> np.ndarray:
    """ncnn's result on an image (H, W, C) in [0, 1], computed in float32."""
    import ncnn

    net = ncnn.Net()  # pyright: ignore
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    net.opt.num_threads = 1
    net.load_param(str(files[0]))
    net.load_model(str(files[1]))
    extractor, values = net.create_extractor(), np.ascontiguousarray(image.transpose(2, 0, 1))
    matrix = ncnn.Mat(values)  # refers to the array's memory  # pyright: ignore
    extractor.input("data", matrix)
    return np.array(extractor.extract("output")[1]).transpose(1, 2, 0)
