"""What a user chooses for one upscaling run."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from uav_jax.diffusion.solvers import SOLVERS, Solver
from uav_jax.models.bounds import as_tuple, shown
from uav_jax.pipeline.color import ColorFix
from uav_jax.pipeline.prompt import ADDED_PROMPT, NEGATIVE_PROMPT

COLOR_FIXES = ("none", "adain", "wavelet")
NOISES = ("jax", "torch")


@dataclass(frozen=True, kw_only=True, slots=True)
class UpscaleSettings:
    """The published defaults; a model directory may name others (``defaults.json``)."""

    prompt: str = ""
    scene_prompts: tuple[str, ...] = ()  # one for each scene, instead of ``prompt``
    a_prompt: str = ADDED_PROMPT
    n_prompt: str = NEGATIVE_PROMPT
    noise_level: int = 120  # 0 (restore) to the model's maximum, 350 (generate)
    guidance_scale: float = 6.0  # above 1 the negative prompt is used too
    inference_steps: int = 30
    propagation_steps: tuple[int, ...] = ()  # counted from 0 at the noisiest step
    solver: Solver = "ddim"  # dpmpp, unipc: fewer steps for the same result
    guidance_interval: tuple[int, int] = (0, 1000)  # timesteps at which guidance runs
    deep_reuse: int = 1  # steps that share the U-Net's deep levels; 1: none do
    use_video_vae: bool = False
    color_fix: ColorFix = "none"
    perform_tile: bool | None = None  # None: from 384 x 384 low-resolution pixels on
    tile_size: int = 256  # low-resolution pixels, without context
    tile_context: int = 64  # low-resolution pixels on each side
    tiling: Literal["blended", "published"] = "blended"  # published: cut, with visible seams
    edge: int = 0  # input pixels mirrored around a frame while it is made, cut off at the end
    decode_overlap: int = 0  # frames that neighbouring decode groups share and blend: 0 or 1
    low_res_weight: float = 1.0  # of the video decoder's low-resolution branch
    seed: int = 10
    noise: str = "jax"  # or "torch": the numbers of PyTorch's CPU generator

    def __post_init__(self):
        checks = (
            (self.noise_level >= 0, f"noise level {self.noise_level} is negative; use 0 or more"),
            (
                1 <= self.inference_steps <= 1000,
                f"steps {self.inference_steps} is outside 1..1000",
            ),
            (
                0 <= self.guidance_scale <= 100,
                f"guidance scale {self.guidance_scale} is outside 0..100",
            ),
            (
                self.color_fix in COLOR_FIXES,
                f"color fix {self.color_fix!r}; expected one of {', '.join(COLOR_FIXES)}",
            ),
            (
                self.tiling in ("blended", "published"),
                f"tiling {self.tiling!r}; expected blended or published",
            ),
            (
                self.decode_overlap in (0, 1),
                f"decode overlap {self.decode_overlap}; expected 0 or 1",
            ),
            (
                self.solver in SOLVERS,
                f"solver {self.solver!r}; expected {', '.join(SOLVERS)}",
            ),
            (
                len(self.guidance_interval) == 2
                and 0 <= self.guidance_interval[0] <= self.guidance_interval[1] <= 1000,
                f"guidance interval {self.guidance_interval}; expected two rising timesteps in "
                "0..1000",
            ),
            (
                1 <= self.deep_reuse <= self.inference_steps,
                f"deep reuse {self.deep_reuse} is outside 1..{self.inference_steps} (the steps)",
            ),
            (self.noise in NOISES, f"noise {self.noise!r}; expected {' or '.join(NOISES)}"),
            (self.tile_size >= 16, f"tile size {self.tile_size} is too small; use 16 or more"),
            (0 <= self.edge <= 64, f"edge {self.edge} is outside 0..64"),
            (self.tile_context >= 0, f"tile context {self.tile_context} is negative"),
        )
        for valid, message in checks:
            if not valid:
                raise ValueError(message)
        for step in self.propagation_steps:
            if not 0 <= step < self.inference_steps:
                raise ValueError(
                    f"propagation step {step} is outside 0..{self.inference_steps - 1} "
                    f"(there are {self.inference_steps} steps)"
                )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "UpscaleSettings":
        """From a model's ``defaults.json``.

        Raises:
            ValueError: for an unknown name and for a value of another kind than the default's.
        """
        known = {field.name: field.default for field in fields(cls)}
        settings = {name: as_tuple(value) for name, value in values.items()}
        for name, value in settings.items():
            if name not in known:
                raise ValueError(
                    f"defaults.json: {shown(name)}; expected some of {', '.join(known)}"
                )
            default = False if known[name] is None else known[name]
            same = type(value) is type(default) or (value is None and known[name] is None)
            if not same and not (type(default) is float and type(value) is int):
                kind = type(default).__name__
                raise ValueError(f"defaults.json: {name} {shown(value)}; expected a {kind}")
            of = str if name == "scene_prompts" else int
            if isinstance(value, tuple) and any(type(item) is not of for item in value):
                raise ValueError(
                    f"defaults.json: {name} {shown(value)}; expected a list of {of.__name__}"
                )
        return cls(**settings)
