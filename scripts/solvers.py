"""How good many steps of DDIM, and fewer of other solvers, are with the default model.

    python -m scripts.solvers EVALUATION_CLIPS [--kind real] [--clips N] [--frames N]

Prints means over the clips for each setting.
"""

from dataclasses import replace

from rich.console import Console

from scripts.curves import MEASURES, Shortened, arguments, scores
from uav_jax.evaluation.scores import Scorer
from uav_jax.pipeline.upscale import Upscaler

SETTINGS = (
    {"solver": "ddim", "inference_steps": 30},
    {"solver": "ddim", "inference_steps": 10},
    {"solver": "dpmpp", "inference_steps": 10},
    {"solver": "unipc", "inference_steps": 10},
    {"solver": "dpmpp", "inference_steps": 10, "deep_reuse": 2},
)


def main() -> None:
    """Measures and prints one setting after the other."""
    options = arguments(__doc__).parse_args()
    console, upscaler = Console(), Upscaler.from_pretrained()
    dataset = Shortened(options.data, options.kind, options.clips, options.frames)
    scorer = Scorer([m for m in MEASURES if m != "sharpness"])
    for setting in SETTINGS:
        values = scores(dataset, scorer, upscaler, replace(upscaler.defaults, **setting))
        console.print(setting, {name: round(values[name], 4) for name in MEASURES})


if __name__ == "__main__":
    main()
