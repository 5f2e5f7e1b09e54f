"""Where networks come from, and what a run would need."""

import dataclasses
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.training.tiny import UNET, VAE, tiny_recipe, write_data
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.training import sources
from uav_jax.training.checkpoint import save_network
from uav_jax.training.config import ValidationConfig
from uav_jax.training.log import trim
from uav_jax.training.loop import claim_workdir, stored
from uav_jax.training.partition import UNET_TEMPORAL
from uav_jax.training.planning import collectives, describe, estimated_cycles
from uav_jax.training.plots import read_metrics
from uav_jax.training.sources import Files, Shapes, network_shapes, saved_network
from uav_jax.training.task import Task
from uav_jax.training.validation import Validation
from uav_jax.weights.model_files import find_model, read_tensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    write_data(directory)
    return directory


def test_a_folders_values_win_and_the_rest_is_drawn(folder):
    video = VAEConfig.golden_small(video=True)
    make = partial(VideoAutoencoder, video)
    both = Files().network("vae_3d", make, str(folder / "vae"), 1)
    image = Files().network("vae_3d", partial(VideoAutoencoder, VAE), str(folder / "vae"), 1)
    assert set(image) < set(both) == set(Shapes().network("vae_3d", make, None, 1))
    for name, value in image.items():
        assert np.array_equal(both[name], value)


def test_a_released_directory_is_a_source(small_release):
    config = VAEConfig.golden_small(video=False)
    make = partial(VideoAutoencoder, config)
    loaded = Files().network("vae_3d", make, str(small_release), 0)
    drawn = Files().network("vae_3d", make, None, 0)
    assert set(loaded) == set(drawn)
    assert not np.array_equal(loaded["decoder.conv_in.kernel"], drawn["decoder.conv_in.kernel"])


@pytest.fixture
def stable_diffusion(small_release, tmp_path):
    """The image networks of the small release as diffusers writes them."""
    new = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    unet = read_tensors(small_release / "unet" / "unet_video.bin")
    vae = read_tensors(small_release / "vae" / "vae_3d.bin")
    added = ("_temp", "temporal", "freqs")
    image = {n: t.read() for n, t in unet.items() if not any(part in n for part in added)}
    renamed = {".".join(new.get(p, p) for p in n.split(".")): t.read() for n, t in vae.items()}
    for name, tensors in (("unet", image), ("vae", renamed)):
        (tmp_path / name).mkdir()
        values = {n: np.ascontiguousarray(v) for n, v in tensors.items()}
        save_file(values, tmp_path / name / "diffusion_pytorch_model.safetensors")
    return tmp_path


def test_stage_1_starts_from_a_stable_diffusion_directory(small_release, stable_diffusion):
    makes = {
        "unet": partial(VideoUNet, find_model(small_release).config("unet")),
        "vae_3d": partial(VideoAutoencoder, VAEConfig.golden_small(video=False)),
    }
    for name, make in makes.items():
        shapes = network_shapes(make)
        image = saved_network(name, str(stable_diffusion), shapes)
        video = saved_network(name, str(small_release), shapes)
        frozen = UNET_TEMPORAL.names(video)[1] if name == "unet" else list(video)
        assert set(image) == set(frozen) - {"rotary.freqs"}, "the rest is drawn"
        for key, value in image.items():
            np.testing.assert_array_equal(value, video[key])


def test_a_stable_diffusion_network_that_lacks_a_tensor_is_refused(stable_diffusion, small_release):
    path = stable_diffusion / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["conv_in.weight"]
    save_file(tensors, path)
    make = partial(VideoUNet, find_model(small_release).config("unet"))
    with pytest.raises(ValueError, match=r"missing tensor conv_in\.weight"):
        Files().network("unet", make, str(stable_diffusion), 0)


def test_another_models_checkpoint_is_refused(folder, tmp_path):
    save_network(tmp_path, {"conv_in.kernel": jnp.zeros((3, 3, 7, 64))})
    with pytest.raises(ValueError, match=r"1 tensors do not fit .* conv_in.kernel \(3, 3, 7, 64\)"):
        Files().network("unet", partial(VideoUNet, UNET), str(tmp_path), 0)
    with pytest.raises(ValueError, match=r"neither the work folder .* nor a model directory"):
        Files().network("unet", partial(VideoUNet, UNET), str(tmp_path / "none"), 0)


def test_missing_lpips_weights_say_how_to_get_them(folder, monkeypatch):
    assert "head4" in Files().lpips(tiny_recipe(folder, steps=1)), "the installed package's"
    monkeypatch.setattr(sources, "installed_lpips", lambda backbone: None)
    with pytest.raises(ValueError, match=r"lpips/vgg16.ckpt are missing; install .* python -m"):
        Files().lpips(tiny_recipe(folder, steps=1))


def test_a_workdir_of_another_recipe_is_refused(folder, tmp_path):
    recipe = tiny_recipe(folder, steps=1)
    claim_workdir(recipe, tmp_path)
    claim_workdir(dataclasses.replace(recipe, steps=2), tmp_path)  # more steps are fine
    other = dataclasses.replace(recipe, unet=dataclasses.replace(UNET, layers_per_block=2))
    with pytest.raises(
        ValueError, match="holds a run of stage 'temporal_unet' with other networks"
    ):
        claim_workdir(other, tmp_path)
    again = dataclasses.replace(UNET, remat="blocks", dtype=jnp.bfloat16)
    claim_workdir(dataclasses.replace(recipe, unet=again), tmp_path)  # another way to compute it


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_a_damaged_recipe_file_is_named(folder, tmp_path, content):
    (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"recipe\.json .*; remove it if .* give another") as error:
        claim_workdir(tiny_recipe(folder, steps=1), tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_damaged_lines_of_the_metrics_are_dropped_and_not_drawn(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = ['{"step": 1, "loss": NaN}\n', '{"step": 2, "loss": 3.0}\n']
    bad = ["{}\n", '{"step": "3"}\n', "[1]}\n", "{" * 99_999 + "}\n", '{"step": 3, "los']
    path.write_text("".join(good + bad))
    assert read_metrics(path)["loss"][0] == [1, 2]
    trim(path, 2)
    assert path.read_text() == "".join(good)
    path.write_bytes(b"\xff}\n" + good[1].encode() + b'{"step": 4, "loss": [1]}\n')
    assert read_metrics(path) == {"loss": ([2], [3.0])}
    trim(path, 2)
    assert path.read_text() == good[1]


def test_a_collection_too_small_to_hold_out_says_what_to_do(tmp_path):
    (tmp_path / "photos").mkdir()
    np.save(tmp_path / "photos" / "a.npy", np.zeros((80, 80, 3), np.uint8))
    recipe = tiny_recipe(tmp_path, steps=1, validation=ValidationConfig(batches=1))
    task = Task({}, {}, {}, loss=None, sample=None)
    with pytest.raises(ValueError, match=r"no photos held out in .*; validation.batches=0 does"):
        Validation(recipe, task, Files(), None, None, (0, 1))


def test_frozen_networks_may_be_stored_in_half_and_lpips_is_not():
    values = {"unet/a": jnp.ones(2), "lpips/b": jnp.ones(2)}
    kinds = {name: str(v.dtype) for name, v in stored(values, "bfloat16").items()}
    assert kinds == {"unet/a": "bfloat16", "lpips/b": "float32"}


def test_the_plan_counts_parameters_and_divides_memory(folder):
    recipe = tiny_recipe(folder, steps=1)
    one = describe(recipe, recipe.mesh.abstract(1))
    four = describe(
        dataclasses.replace(recipe, mesh=dataclasses.replace(recipe.mesh, fsdp=4)),
        recipe.mesh.abstract(4),
    )
    assert "trained     223,840" in one
    assert "data 1 x fsdp 1 x context 1 = 1 devices" in one
    assert "data 4" in four


def test_collectives_are_counted_with_their_bytes():
    program = """
      %a = f32[8,4]{1,0} all-gather(f32[2,4] %x), channel_id=1, metadata={op_name="jit(step)/x"}
      %a.1 = f32[8,4]{1,0} all-gather(f32[2,4] %x), channel_id=1, dimensions={0}
      %b = (bf16[16]{0}, bf16[16]{0}) all-reduce-start(bf16[16] %y)
      %c = bf16[16]{0} all-reduce-done(%b)
      %d = f32[8]{0} add(f32[8] %all-reduce.1, f32[8] %e)
    """
    assert estimated_cycles('%a = f32[8] x, backend_config={"estimated_cycles":"12"}\n' * 2) == 24
    assert collectives(program) == [
        ("all-gather", 128, "jit(step)/x"),
        ("all-reduce", 64, "no name"),
    ]
