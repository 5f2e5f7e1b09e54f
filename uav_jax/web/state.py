"""What the page shows of a visitor, the model and the limits, as objects for JSON."""

from uav_jax.pipeline.upscale import Upscaler
from uav_jax.web.limits import Limits
from uav_jax.web.queue import Queue
from uav_jax.web.refusals import without_paths
from uav_jax.web.visitors import Upload, Visitor
from uav_jax.web.work import preview_side


def _video(upload: Upload) -> dict:
    source = upload.source
    return {
        "name": upload.name,
        "width": source.width,
        "height": source.height,
        "frames": source.frames,
        "rate": float(source.rate),
        "seconds": source.frames / float(source.rate),
        "audio": list(source.audio_codecs),
        "square": preview_side(source),
    }


def _run(visitor: Visitor, queue: Queue) -> dict | None:
    run = visitor.run
    if run is None:
        return None
    name = visitor.upload.name if visitor.upload else ""
    return {
        "kind": run.kind,
        "state": run.state,
        "message": without_paths(run.message, visitor.folder, name),
        "phases": dict(run.phases),  # the run's thread adds to it
        "before": queue.position(run),
    }


def described(visitor: Visitor | None, queue: Queue) -> dict:
    """Returns everything that the page shows of a visitor.

    Args:
        visitor: None where nobody is known.
        queue: Where the visitor's run is.
    """
    return {
        "video": _video(visitor.upload) if visitor and visitor.upload else None,
        "run": _run(visitor, queue) if visitor else None,
        "settings": visitor.settings if visitor else {},
        "preview": visitor.preview if visitor else 0,
        "stills": list(visitor.stills) if visitor else [],
        "result": visitor is not None and visitor.result is not None,
    }


def facts(upscaler: Upscaler, limits: Limits) -> dict:
    """Returns what the page must know of the model and the limits."""
    defaults = upscaler.defaults
    return {
        "defaults": {
            "noise_level": defaults.noise_level,
            "guidance_scale": defaults.guidance_scale,
            "inference_steps": defaults.inference_steps,
            "color_fix": defaults.color_fix,
        },
        "highest_noise_level": upscaler.unet.config.max_noise_level,
        "phrases": upscaler.phrases,
        "flow": upscaler.has("propagator"),
        "limits": {"megabytes": limits.megabytes, "seconds": limits.seconds},
    }
