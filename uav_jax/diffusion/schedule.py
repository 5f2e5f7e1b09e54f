"""The diffusion process and its discrete schedule.

    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps,    a_t = prod_{s <= t} (1 - beta_s)             (1)
    v   = sqrt(a_t) eps - sqrt(1 - a_t) x_0                                                  (2)
    x_0 = sqrt(a_t) x_t - sqrt(1 - a_t) v,  eps = sqrt(a_t) v + sqrt(1 - a_t) x_t            (3)

Equation (2) is the velocity of Salimans & Ho (ICLR 2022).
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from uav_jax.models.bounds import check_bool, check_int, check_real, shown
from uav_jax.shapes import PerSample, Video

MAX_STEPS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """What a scheduler's JSON file says about the process."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "scaled_linear"
    prediction_type: str = "v_prediction"
    set_alpha_to_one: bool = False
    steps_offset: int = 1
    timestep_spacing: str = "leading"

    def __post_init__(self):
        check_int("num_train_timesteps", self.num_train_timesteps, 1, 10_000)
        check_int("steps_offset", self.steps_offset, 0, self.num_train_timesteps)
        check_real("beta_start", self.beta_start, 0.0, 1.0)
        check_real("beta_end", self.beta_end, 0.0, 1.0)
        check_bool("set_alpha_to_one", self.set_alpha_to_one)
        if self.beta_schedule not in ("scaled_linear", "linear"):
            raise ValueError(
                f"beta_schedule {shown(self.beta_schedule)}; supported: scaled_linear, linear"
            )
        if self.timestep_spacing not in ("leading", "trailing"):
            raise ValueError(
                f"timestep_spacing {shown(self.timestep_spacing)}; supported: leading, trailing"
            )
        if self.prediction_type != "v_prediction":
            raise ValueError(
                f"prediction_type {shown(self.prediction_type)}; supported: v_prediction"
            )

    @classmethod
    def from_json(cls, config: dict) -> "ScheduleConfig":
        """From ``scheduler_config.json``; refuses options that would change the sampling."""
        if config.get("trained_betas") is not None:
            raise ValueError("scheduler config: trained_betas is not supported")
        if config.get("clip_sample") and config.get("_class_name") == "DDIMScheduler":
            raise ValueError("scheduler config: clip_sample is not supported for DDIM")
        names = cls.__dataclass_fields__
        return cls(**{name: value for name, value in config.items() if name in names})

    def to_json(self, class_name: str) -> dict:
        """The JSON of ``scheduler_config.json``."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"_class_name": class_name, "clip_sample": False, **values}


def alphas_cumprod(config: ScheduleConfig) -> np.ndarray:
    """a_t of equation (1) for t = 0 .. num_train_timesteps - 1, float32."""
    steps = config.num_train_timesteps
    if config.beta_schedule == "scaled_linear":
        start, end = config.beta_start**0.5, config.beta_end**0.5
        betas = np.linspace(start, end, steps, dtype=np.float32) ** 2
    else:
        betas = np.linspace(config.beta_start, config.beta_end, steps, dtype=np.float32)
    return np.cumprod(1 - betas, dtype=np.float32)


def _per_sample(values: np.ndarray | Array, t: PerSample) -> Float[Array, "B 1 1 1 1"]:
    return jnp.asarray(values)[t][:, None, None, None, None]


def add_noise(alphas: Array | np.ndarray, x: Video, noise: Video, t: PerSample) -> Video:
    """Equation (1): ``x`` at time ``t`` (one per sample)."""
    a = _per_sample(alphas, t)
    return jnp.sqrt(a) * x + jnp.sqrt(1 - a) * noise


def velocity(alphas: Array | np.ndarray, x: Video, noise: Video, t: PerSample) -> Video:
    """Equation (2): the target that the network predicts."""
    a = _per_sample(alphas, t)
    return jnp.sqrt(a) * noise - jnp.sqrt(1 - a) * x


def predict_x0(a: Array, x: Video, v: Video) -> Video:
    """Equation (3), clean latents from noisy ones and the predicted velocity; ``a`` is a_t."""
    return jnp.sqrt(a) * x - jnp.sqrt(1 - a) * v


def predict_noise(a: Array, x: Video, v: Video) -> Video:
    """Equation (3), the noise."""
    return jnp.sqrt(a) * v + jnp.sqrt(1 - a) * x
