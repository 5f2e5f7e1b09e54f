"""What a plan will cost, before anything is computed: operations, time, memory."""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from uav_jax.diffusion.sampler import guided
from uav_jax.jobs.prepare import Job
from uav_jax.pipeline.decode import decode_program, plan_groups
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.shapes import LATENT_CHANNELS
from uav_jax.video.containers import shown

EFFICIENCY = 0.35
"""Of the machine's rate in a large matrix product, what these networks reach (CPU, measured)."""


def matmul_rate(size: int = 1024, repeats: int = 4) -> float:
    """FLOP/s of a float32 matrix product on the first device."""
    x = jnp.ones((size, size))
    product = jax.jit(jnp.matmul)
    product(x, x).block_until_ready()
    start = time.perf_counter()
    for _ in range(repeats):
        x = product(x, x) / size
    x.block_until_ready()
    return repeats * 2 * size**3 / (time.perf_counter() - start)


def _flops(lowered: jax.stages.Lowered) -> float:
    return (lowered.cost_analysis() or {}).get("flops", 0.0)


def operations(upscaler: Upscaler, job: Job) -> float:
    """Floating-point operations of the job's U-Net and decoder, as the compiler counts them."""
    plan, settings = job.plan, job.settings
    tile = plan.tiles[0]
    window = (1, plan.segments[0].windows.length, tile.height, tile.width)
    text = upscaler.encode_text(settings)
    number, real = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)

    def video(shape: tuple[int, ...], channels: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((*shape, channels), jnp.float32)

    latents, low_res = video(window, LATENT_CHANNELS), video(window, 3)
    graph, state = nnx.split(upscaler.unet)
    call = guided.lower(graph, state, latents, low_res, number, number, text, real)
    vae = upscaler.network("vae_video" if settings.use_video_vae else "vae_3d")
    group = (1, vae.config.group, tile.height, tile.width)
    graph, state = nnx.split(vae)
    decode = decode_program.lower(
        graph, state, video(group, LATENT_CHANNELS), video(group, 3), real
    )
    groups = {
        (segment.scene, a, b)
        for segment in plan.segments
        for _, _, parts in plan_groups(
            segment.frames, segment.start, segment.stop, settings.decode_overlap, vae.config.group
        )
        for a, b, _ in parts
    }
    decoded = len(groups) * len(plan.tiles)
    return plan.calls(settings.inference_steps) * _flops(call) + decoded * _flops(decode)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job will take: floating-point operations, seconds once compiled, bytes."""

    operations: float
    seconds: float
    memory: int  # of activations on a device, beside the weights


def cost(upscaler: Upscaler, job: Job) -> Cost:
    """Estimates a job from its operations and this machine's rate, measured now."""
    flops = operations(upscaler, job)
    devices = upscaler.mesh.size if upscaler.mesh else 1
    seconds = flops / (EFFICIENCY * matmul_rate() * devices)
    vae = upscaler.network("vae_video" if job.settings.use_video_vae else "vae_3d")
    itemsize = jnp.dtype(upscaler.dtype).itemsize
    return Cost(flops, seconds, job.plan.memory(upscaler.unet.config, vae.config, itemsize))


def _disk(job: Job) -> str:
    """Bytes that segments and result take together."""
    size = job.disk
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _encoding(job: Job) -> str:
    """Codec and bits of the result."""
    if job.writes_picture:
        return f"{job.target.suffix[1:]} image"
    depth, alpha = job.form.depth, ", alpha" if job.form.alpha else ""
    return f"{job.options.output.codec}, {depth} bit{alpha}"


def describe(upscaler: Upscaler, job: Job) -> str:
    """The plan in words: sizes, scenes, segments, tiles, evaluations, time and memory."""
    plan, source, steps = job.plan, job.source, job.settings.inference_steps
    tile = plan.tiles[0]
    devices = upscaler.mesh.size if upscaler.mesh else 1
    expected = cost(upscaler, job)
    scenes = len({segment.scene for segment in plan.segments})
    device = jax.devices()[0]
    lines = [
        f"input       {shown(source.path.name)}: {source.frames} frames of "
        f"{source.width}x{source.height}, {float(source.rate):.3f} a second, {source.bits} bit",
        f"result      {shown(job.target)}: {job.size[1]}x{job.size[0]}, {_encoding(job)}",
        *(f"note        {note}" for note in job.notes),
        f"scenes      {scenes}",
        f"segments    {len(plan.segments)}, kept as they are finished",
        f"tiles       {len(plan.tiles)} of {tile.width}x{tile.height} input pixels",
        f"devices     {devices} x {device.platform} {device.device_kind}, {upscaler.dtype}",
        f"U-Net       {plan.calls(steps)} windows of tiles, {plan.rows_at_once} at once, "
        f"{len(upscaler.encode_text(job.settings))} prompt(s)",
        f"disk        about {_disk(job)} while it is made",
        f"operations  {expected.operations / 1e12:.2f} TFLOP",
        f"memory      {expected.memory / 2**30:.2f} GiB of activations beside the weights",
        f"time        about {expected.seconds:.0f} s once compiled, "
        f"{expected.seconds / source.frames:.2f} s a frame",
    ]
    return "\n".join(lines)
