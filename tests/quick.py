"""The default model without what makes small clips slow: mirrored edges, overlapping groups."""

from dataclasses import replace

from uav_jax.pipeline.upscale import Upscaler


def quick_upscaler() -> Upscaler:
    upscaler = Upscaler.from_pretrained()
    upscaler.defaults = replace(upscaler.defaults, edge=0, decode_overlap=0)
    return upscaler
