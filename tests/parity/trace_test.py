"""``python -m uav_jax.parity`` on traces whose every value is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.parity import golden as g
from uav_jax import parity
from uav_jax.parity import activations, difference, main
from uav_jax.weights.model_files import ModelFiles

CASE = "a"


def unet_inputs():
    values = g.arrays(f"unet_{CASE}")
    B, T, H, W = values["shape"]
    return {
        "network": np.array("unet"),
        "input/sample": g.random_input(f"unet_x_{CASE}", (B, 4, T, H, W)),
        "input/low_res": g.random_input(f"unet_lr_{CASE}", (B, 3, T, H, W)),
        "input/timestep": values["timestep"],
        "input/noise_level": values["noise_level"],
        "input/text": g.random_input(f"unet_ctx_{CASE}", (B, 77, 48)),
    }


def published(value: np.ndarray, number: int) -> np.ndarray:
    """An activation as PyTorch might have it: channels first, or frames or pixels in the batch."""
    if value.ndim != 5:
        return value
    B, T, H, W, C = value.shape
    folded = value.reshape(B * T, H * W, C)
    pixels = value.transpose(0, 2, 3, 1, 4).reshape(B * H * W, T, C)
    return [value.transpose(0, 4, 1, 2, 3), folded, pixels][number % 3]


@pytest.fixture(scope="module")
def ours(small_release):
    return activations(ModelFiles(small_release), unet_inputs(), jnp.float32)


@pytest.fixture
def trace(ours, monkeypatch):
    """Our activations as PyTorch has them, and what PyTorch itself returned at the end.

    Ours are computed once for all tests.
    """
    monkeypatch.setattr(parity, "DTYPES", (jnp.float32,))
    monkeypatch.setattr(parity, "activations", lambda *_: ours)
    found = {name: published(value, i) for i, (name, value) in enumerate(ours.items())}
    return {**unet_inputs(), **found, "output": g.arrays(f"unet_{CASE}")["output"]}


def run(small_release, trace, tmp_path, capsys):
    np.savez(tmp_path / "trace.npz", **trace)
    status = main([str(small_release), str(tmp_path / "trace.npz")])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def test_every_module_of_the_unet_is_compared(small_release, trace, tmp_path, capsys):
    status, text = run(small_release, trace, tmp_path, capsys)
    assert status == 0, text
    modules = len(trace) - 6
    assert modules > 200
    assert f"all {modules} modules within 2e-05" in text and "not compared" not in text


def test_the_first_module_that_differs_is_named(small_release, trace, tmp_path, capsys):
    wrong = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0"
    after = "up_blocks.0.resnets.1.conv2"
    changed = trace | {name: trace[name] / 1.01 for name in (after, wrong)}
    changed["down_blocks.9.conv"] = np.zeros(3)
    status, text = run(small_release, changed, tmp_path, capsys)
    assert status == 1
    assert f"first over 2e-05: {wrong} (1.00e-02)" in text
    assert "not compared: down_blocks.9.conv: no such module here" in text


def test_half_precision_is_shown_beside_what_pytorch_gave(small_release, tmp_path, capsys):
    values = g.arrays("vae_video_a")
    B, _, T, H, W = values["decoded"].shape
    trace = {
        "network": np.array("vae_video"),
        "input/latents": g.random_input("vae_z_a", (B, 4, T, H // 4, W // 4)),
        "input/low_res": 0.5 * g.random_input("vae_img_a", (B, 3, T, H // 4, W // 4)),
        "input/low_res_weight": values["w_lr"],
        "output": values["decoded"],
    }
    status, text = run(small_release, trace, tmp_path, capsys)
    assert status == 0 and "all 1 modules" in text, text
    row = next(line for line in text.splitlines() if line.startswith("│ output "))
    full, bfloat16, float16 = map(float, row.replace("│", " ").split()[2:])
    assert full <= g.NETWORK_TOLERANCE
    assert 1e-4 < float16 < bfloat16 < 0.1


def test_the_text_encoder_has_traces_too(small_release, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(parity, "DTYPES", (jnp.float32,))
    values = g.arrays("text_encoder")
    trace = {
        "network": np.array("text_encoder"),
        "input/input_ids": values["input_ids"],
        "output": values["last_hidden_state"],
    }
    status, text = run(small_release, trace, tmp_path, capsys)
    assert status == 0, text


def test_layouts_are_found_and_none_is_invented():
    x = np.random.RandomState(0).standard_normal((2, 3, 4, 5, 6))
    assert difference(x, x.transpose(0, 2, 3, 1, 4).reshape(2 * 4 * 5, 3, 6)) == 0
    assert difference(x.reshape(2, 60, 6), x.reshape(6, 20, 6)) == 0
    assert difference(x, x.transpose(0, 4, 1, 2, 3) + 1) == pytest.approx(1)
    assert difference(x, x[:1]) is None


@pytest.mark.parametrize(
    "broken, message",
    [
        ({"network": np.array("gan")}, "is a trace of gan; expected"),
        ({"network": np.array("unet")}, "lacks input/sample, input/low_res"),
        (None, "is no readable .npz"),
    ],
)
def test_mistakes_are_one_line(small_release, tmp_path, capsys, broken, message):
    if broken is None:
        (tmp_path / "trace.npz").write_bytes(b"no")
        status = main([str(small_release), str(tmp_path / "trace.npz")])
        said = capsys.readouterr().err
    else:
        status, said = run(small_release, broken, tmp_path, capsys)
    assert status == 2 and message in said
