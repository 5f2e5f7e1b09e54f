"""Upscale-A-Video in JAX: text-guided, temporally consistent 4x video super-resolution.

``Upscaler`` upscales arrays, ``upscale_video`` files; ``clip_flow``, ``propagate`` and
``PropagationConfig`` are parts that are useful alone. docs/api.md has an example of each.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uav_jax.jobs.options import JobOptions
    from uav_jax.jobs.video import upscale_video
    from uav_jax.motion.flow import ClipFlow, clip_flow
    from uav_jax.motion.propagation import PropagationConfig, propagate
    from uav_jax.pipeline.settings import UpscaleSettings
    from uav_jax.pipeline.upscale import Upscaler, to_bytes

_PLACES = {
    "ClipFlow": "motion.flow",
    "JobOptions": "jobs.options",
    "PropagationConfig": "motion.propagation",
    "UpscaleSettings": "pipeline.settings",
    "Upscaler": "pipeline.upscale",
    "clip_flow": "motion.flow",
    "propagate": "motion.propagation",
    "to_bytes": "pipeline.upscale",
    "upscale_video": "jobs.video",
}

__all__ = [
    "ClipFlow",
    "JobOptions",
    "PropagationConfig",
    "UpscaleSettings",
    "Upscaler",
    "clip_flow",
    "propagate",
    "to_bytes",
    "upscale_video",
]


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'uav_jax' has no attribute {name!r}")
    return getattr(import_module(f"uav_jax.{_PLACES[name]}"), name)
