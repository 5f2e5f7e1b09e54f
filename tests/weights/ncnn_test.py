"""The ncnn reader refuses whatever does not fit exactly."""

import numpy as np
import pytest

from tests.models.ncnn_files import TAG, Writer, write_trunk
from uav_jax.models.vae.config import TrunkConfig
from uav_jax.weights.ncnn import read_ncnn
from uav_jax.weights.pretrained import read_trunk


@pytest.fixture
def files(tmp_path):
    net = Writer()
    net.prelu(net.conv(net.conv("data", (3, 5), "a"), (5, 3), "b", half=False), 3, "output")
    return net.write(tmp_path)


def test_kernels_keep_their_type_and_order(files):
    _, first, second, prelu = read_ncnn(*files)
    kernel = first.weights["kernel"]
    assert kernel.dtype == np.float16 and kernel.shape == (5, 3, 3, 3)
    data = files[1].read_bytes()
    assert int.from_bytes(data[:4], "little") == TAG
    assert kernel.tobytes() == data[4 : 4 + 270]
    assert first.weights["bias"].tobytes() == data[276 : 276 + 20]  # 270 padded to 272
    assert second.weights["kernel"].dtype == np.float32
    assert prelu.weights["slope"].tobytes() == data[-12:]


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("7767517", "7767518", "expected 7767517"),
        ("4 4\n", "5 4\n", "expected 7767517 and 5 layers"),
        ("4 4\n", "4 6\n", "expected 6"),
        ("PReLU", "Sigmoid", "layer Sigmoid; expected one of Input"),
        ("1=3", "1=3 2=2", r"parameters \[2\]"),
        ("6=135", "6=136", "do not make a 3x3 convolution"),
        ("4=1", "4=0", "keeps the size"),
        ("5=1", "5=x", "'5=x' is no parameter"),
        ("1 1 a b", "1 1 c b", r"\['c'\] are not made once"),
        ("1 1 a b", "1 2 a b", "that many blobs"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(files, old, new, message):
    text = files[0].read_text()
    assert old in text
    files[0].write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_ncnn(*files)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data: data[:-4], "needs 12 bytes at .* 8 are left"),
        (lambda data: data + b"\0" * 4, "its layers take"),
        (lambda data: b"\1" + data[1:], "tag 0x01306b01; expected 0x01306b47"),
    ],
)
def test_weights_of_another_size_or_tag_are_refused(files, change, message):
    files[1].write_bytes(change(files[1].read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_ncnn(*files)


def test_another_network_is_no_trunk(files, tmp_path):
    with pytest.raises(ValueError, match="no realesr-animevideov3-x4"):
        read_trunk(*files, TrunkConfig())
    with pytest.raises(ValueError, match="depth 8; the pretrained network has 16"):
        read_trunk(*files, TrunkConfig(depth=8, condition_at=(), temporal_at=()))
    other = write_trunk(tmp_path, 8)
    with pytest.raises(ValueError, match="expected"):
        read_trunk(*other, TrunkConfig(width=16))
    text = other[0].read_text()
    other[0].write_text(text.replace("0=1 1=4.0 2=4.0", "0=2 1=4.0 2=4.0"))
    with pytest.raises(ValueError, match="Interp"):
        read_trunk(*other, TrunkConfig(width=8))
