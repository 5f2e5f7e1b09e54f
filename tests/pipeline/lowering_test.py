"""The programs lower for GPUs and TPUs, at the released size, without one."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax import export

from uav_jax.diffusion.sampler import guided
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.models.raft.model import RAFT
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.unet.model import VideoUNet
from uav_jax.models.vae.config import VAEConfig
from uav_jax.models.vae.model import VideoAutoencoder
from uav_jax.pipeline.decode import decode_program

NUMBER, REAL = (jax.ShapeDtypeStruct((), t) for t in (jnp.int32, jnp.float32))


def video(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def split(make):
    return nnx.split(nnx.eval_shape(make))


def programs():
    config = UNetConfig.released(dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    graph, state = split(lambda: VideoUNet(config, rngs=None))
    text = jax.ShapeDtypeStruct((2, 77, config.cross_attention_dim), jnp.bfloat16)
    window = (2, 8, 32, 32)
    inputs = (video(*window, 4), video(*window, 3), NUMBER, NUMBER, text, REAL)
    yield "unet", lambda state, *rest: guided(graph, state, *rest), (state, *inputs)

    vae = VAEConfig.released(video=True)
    vae_graph, vae_state = split(lambda: VideoAutoencoder(vae, rngs=None))
    group = (1, 3, 32, 32)
    inputs = (video(*group, 4), video(*group, 3), REAL)
    yield "decoder", lambda s, *rest: decode_program(vae_graph, s, *rest), (vae_state, *inputs)

    flow_graph, flow_state = split(lambda: RAFT(RAFTConfig(), rngs=None))
    pair = (video(2, 128, 160, 3),) * 2
    yield "flow", lambda s, *pair: nnx.merge(flow_graph, s)(*pair, 20), (flow_state, *pair)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(
    ("program", "arguments"), [p[1:] for p in programs()], ids=["unet", "decoder", "flow"]
)
def test_programs_lower_for_accelerators(program, arguments, platform):
    made = export.export(
        jax.jit(program),
        platforms=[platform],
        # A wish about memory, whose name may change with JAX; nothing is stored here.
        disabled_checks=[export.DisabledSafetyCheck.custom_call("LayoutConstraint")],
    )(*arguments)
    assert made.platforms == (platform,) and len(made.mlir_module_serialized) > 10_000
