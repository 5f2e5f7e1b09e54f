"""The adversarial loss of stage 2 against hand-computed values and plain differentiation."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.tiny import drawn
from uav_jax.models.discriminator.config import DiscriminatorConfig
from uav_jax.models.discriminator.model import PatchDiscriminator
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.training.config import AdversarialConfig, OptimizerConfig
from uav_jax.training.decoder import Adversary, perceptual_importance
from uav_jax.training.functional import Functional
from uav_jax.training.losses import (
    adaptive_weight,
    generator_loss,
    hinge_discriminator_loss,
    mean_absolute_error,
)
from uav_jax.training.step import clip_by_network, initial_state, make_train_step

CONFIG = AdversarialConfig(
    start_step=5, weight=0.5, discriminator=DiscriminatorConfig(channels=(32, 32))
)
VAE = VAEConfig(
    block_out_channels=(8, 8, 8), layers_per_block=1, norm_num_groups=8, condition_channels=8
)
LAST = "decoder.conv_out.kernel"
RELATIVE = 1e-4
"""Float32 gradients summed in another order."""


@pytest.fixture(
    scope="module",
    params=[False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["published", "residual"],
)
def setting(request):
    """(autoencoder, its parameters, discriminator, its parameters, latents, low_res, target)."""
    residual = dict(residual_blocks=2, mid_attention=False) if request.param else {}
    make_vae = partial(VideoAutoencoder, replace(VAE, **residual))
    make_scores = partial(PatchDiscriminator, CONFIG.discriminator)
    rng = np.random.RandomState(0)
    latents, low_res, target = (
        jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32)
        for shape in ((1, 2, 4, 4, 4), (1, 2, 4, 4, 3), (1, 2, 16, 16, 3))
    )
    networks = [(Functional.of(make), drawn(make)) for make in (make_vae, make_scores)]
    return *networks[0], *networks[1], latents, low_res, target


@pytest.fixture(scope="module")
def objective(setting):
    """``step`` -> (value, metrics) and gradients by our loss for both networks' parameters."""
    vae, weights, scores, score_weights, latents, low_res, target = setting
    adversary = Adversary(scores, CONFIG)

    def loss(weights, score_weights, step, importance):
        decoder = vae.bind(weights).decoder
        features = decoder.features(vae.bind(weights).post_quant_conv(latents), low_res, 1.0)
        return adversary.loss(
            score_weights,
            decoder,
            features,
            low_res,
            target,
            lambda decoded: (mean_absolute_error(decoded, target), {}),
            step,
            importance,
        )

    both = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    return lambda step, importance=1.0: both(weights, score_weights, step, jnp.full(1, importance))


def decoded(setting, weights):
    vae, _, _, _, latents, low_res, _ = setting
    return vae.bind(weights).decode(latents, low_res)


def relative_error(ours, reference):
    ours, reference = (
        np.concatenate([np.ravel(v) for v in jax.tree.leaves(t)]) for t in (ours, reference)
    )
    return np.linalg.norm(ours - reference) / np.linalg.norm(reference)


def test_before_its_start_the_decoder_has_the_plain_gradient(setting, objective):
    (_, metrics), (gradient, scores) = objective(4)
    target = setting[-1]
    plain = jax.jit(jax.value_and_grad(lambda w: mean_absolute_error(decoded(setting, w), target)))
    value, expected = plain(setting[1])
    assert float(metrics["loss"]) == pytest.approx(float(value), rel=RELATIVE)
    assert relative_error(gradient, expected) < RELATIVE
    assert not any(np.any(v) for v in scores.values()), "the discriminator waits, too"


def test_after_its_start_the_gradient_is_that_of_equation_1(setting, objective):
    _, weights, scores, score_weights, _, _, target = setting
    (_, metrics), gradients = objective(5)

    def parts(weights):
        frames = decoded(setting, weights)
        judged = scores.bind(score_weights)(frames)
        return mean_absolute_error(frames, target), generator_loss(judged)

    reconstruction, adversarial = jax.jit(jax.jacrev(parts))(weights)
    ratio = adaptive_weight(reconstruction[LAST], adversarial[LAST])
    expected = {n: v + 0.5 * ratio * adversarial[n] for n, v in reconstruction.items()}
    assert float(metrics["adaptive_weight"]) == pytest.approx(float(ratio), rel=RELATIVE)
    assert relative_error(gradients[0], expected) < RELATIVE
    assert relative_error(gradients[0], reconstruction) > 0.1

    def hinge(score_weights):
        judge = scores.bind(score_weights)
        return hinge_discriminator_loss(judge(target), judge(decoded(setting, weights)))

    assert relative_error(gradients[1], jax.jit(jax.grad(hinge))(score_weights)) < RELATIVE


def test_the_adversarial_loss_counts_by_importance(objective):
    """The adaptive weight keeps its part of the gradient up until it counts for nothing."""
    _, (none, _) = objective(5, importance=0.0)
    _, (plain, _) = objective(4)
    assert relative_error(none, plain) < RELATIVE
    (_, metrics), (half, _) = objective(5, importance=0.5)
    (_, full), _ = objective(5)
    assert float(metrics["adversarial"]) == pytest.approx(0.5 * float(full["adversarial"]))
    assert relative_error(half, plain) > 0.1


def test_importance_grows_with_the_noise_level():
    levels = jnp.array([0, 15, 30, 60])
    assert perceptual_importance(levels, 30).tolist() == [0, 0.5, 1, 1]
    assert perceptual_importance(levels, None) is None


def test_hinge_losses_equal_the_formula():
    real, fake = (jnp.array(v).reshape(2, 1, 1, 1, 1) for v in ([2.0, 0.5], [-3.0, 0.25]))
    assert float(hinge_discriminator_loss(real, fake)) == pytest.approx(0.5 * (0.25 + 0.625))
    assert float(generator_loss(fake)) == pytest.approx(1.375)
    assert float(generator_loss(fake, jnp.array([0.5, 1.0]))) == pytest.approx(0.625)


def test_the_adaptive_weight_is_the_gradients_ratio_and_bounded():
    gradient = jnp.array([3.0, 4.0])
    assert float(adaptive_weight(gradient, 0.5 * gradient)) == pytest.approx(2, rel=1e-4)
    assert float(adaptive_weight(gradient, jnp.zeros(2))) == 1e4


def test_a_discriminator_sees_time_and_scores_patches(setting):
    _, _, scores, score_weights, _, _, target = setting
    judge = scores.bind(score_weights)
    assert judge(target).shape == (1, 2, 4, 4, 1)
    still = jnp.concatenate([target[:, :1]] * 2, axis=1)
    assert not np.allclose(judge(target)[:, 0], judge(still)[:, 0]), "the second frame matters"


def test_each_network_is_clipped_by_its_own_norm():
    gradient = {"a": jnp.array([3.0, 4.0]), "discriminator/a": jnp.array([0.0, 0.5])}
    clip = clip_by_network(1.0)
    clipped, _ = clip.update(gradient, clip.init(gradient))
    assert clipped["a"] == pytest.approx(np.array([0.6, 0.8]))
    assert np.array_equal(clipped["discriminator/a"], gradient["discriminator/a"])


def test_a_loss_among_the_metrics_is_the_one_reported():
    def loss(trained, frozen, batch, key, step):
        return jnp.sum(trained["w"]), {"loss": jnp.float32(7), "step": step}

    config = OptimizerConfig(warmup_steps=0)
    state = initial_state({"w": jnp.ones(2)}, config)
    step = jax.jit(make_train_step(loss, config))
    _, metrics = step(state, {}, {}, jax.random.key(0))
    assert (float(metrics["loss"]), int(metrics["step"])) == (7, 0)
