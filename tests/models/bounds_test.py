"""Configurations of strangers: absurd values are refused by bounds, released ones are not."""

import pytest

from tests.parity import golden as g
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.bounds import check_bool, check_int, check_ints, check_real, shown
from uav_jax.models.discriminator.config import DiscriminatorConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.weights.networks import NETWORKS

SMALL = g.load_json("small_configs.json") | {
    "text_encoder": g.load_json("text_encoder_small.json")["config"],
    "propagator": {},
}


def test_each_check_says_the_value_and_what_would_be_accepted():
    for check, value, message in (
        (lambda v: check_int("n", v, 1, 9), True, "n True; expected a whole number in 1..9"),
        (lambda v: check_int("n", v, 1, 9), 10, "n 10; expected a whole number in 1..9"),
        (lambda v: check_ints("n", v, [3], 1, 9), (1, 2), r"n \(1, 2\); expected 3 whole numbers"),
        (lambda v: check_ints("n", v, range(1, 7), 1, 9), "ab", "n 'ab'; expected 1..6 whole"),
        (lambda v: check_real("n", v, 0, 1), float("inf"), "n inf; expected a number in 0..1"),
        (lambda v: check_real("n", v, 0, 1), float("nan"), "n nan; expected a number in 0..1"),
        (lambda v: check_bool("n", v), 1, "n 1; expected true or false"),
    ):
        with pytest.raises(ValueError, match=message):
            check(value)
    assert len(shown("x" * 10**6)) == 80


@pytest.mark.parametrize("name", SMALL)
def test_every_number_of_a_published_config_has_bounds(name):
    """Each value in turn becomes absurd: an error, or a name that is not read."""
    network, read = NETWORKS[name], 0
    published = network.configure(SMALL[name]).to_published()
    assert network.configure(published).to_published() == published
    for key in published:
        for absurd in (10**12, -1, 1.5, "x", None, [10**9], [[1]], {}, [True] * 10**4):
            try:
                network.configure(published | {key: absurd})
            except ValueError as error:
                read += 1
                assert len(str(error)) < 400 and len(str(error).splitlines()) == 1
    assert read >= 60


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"propagator"}))
def test_a_config_that_says_nothing_is_an_error(name):
    with pytest.raises(ValueError, match=r"lacks|hidden_act None"):
        NETWORKS[name].configure({})


def test_our_own_configs_have_the_same_bounds():
    for make, message in (
        (lambda: UNetConfig.golden_small(rotary_dims=10**6), "unet rotary_dims 1000000"),
        (lambda: VAEConfig.golden_small(video=True, layers_per_block=0), "layers_per_block 0"),
        (lambda: DiscriminatorConfig(channels=(64,) * 40), "expected 1..6 whole numbers"),
        (lambda: ScheduleConfig(num_train_timesteps=10**9), "num_train_timesteps 1000000000"),
        (lambda: ScheduleConfig(beta_end=float("nan")), "beta_end nan"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("name", g.load_json("full_checkpoints.json")["configs"])
def test_released_configs_are_within_the_bounds(name):
    NETWORKS[name].configure(g.load_json("full_checkpoints.json")["configs"][name])
