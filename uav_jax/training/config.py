"""A recipe: everything one training run depends on."""

from dataclasses import dataclass, field
from typing import Literal

from uav_jax.data.loader import DataConfig
from uav_jax.diffusion.schedule import ScheduleConfig
from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.discriminator.config import DiscriminatorConfig
from uav_jax.models.raft.config import RAFTConfig
from uav_jax.models.unet.config import UNetConfig
from uav_jax.models.vae.config import VAEConfig
from uav_jax.training.mesh import MeshConfig

Stage = Literal[
    "image_autoencoder", "image_unet", "temporal_unet", "video_decoder", "distillation", "flow"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Adam with warm-up, clipping by global norm and an exponential moving average."""

    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: int = 100
    clip_norm: float | None = 1.0  # None: no clipping
    ema_decay: float = 0.999
    decay_steps: int | None = None  # after the warm-up, linearly to 0; None: the rate stays
    rate_factors: tuple[tuple[str, float], ...] = ()  # (regular expression, learning-rate factor of
    # the parameters whose names it matches); the first match counts

    def __post_init__(self):
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay {self.ema_decay} is outside [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdversarialConfig:
    """The adversarial loss of the video decoder."""

    start_step: int  # before it neither the discriminator nor its loss does anything
    weight: float = 0.5  # of the adversarial loss, after the adaptive weight
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationConfig:
    """How the video decoder learns from a teacher's results."""

    pretrained: str = "realesr-animevideov3"  # peer of ``evaluate.py`` that the trunk starts from
    fidelity_lpips: float = 0.3  # weight of LPIPS at noise level 0, relative to the full level's
    teacher_l1: float = 1.0  # weight of L1 at the full noise level, relative to level 0's
    teacher_sharpening: float = 0.0  # of the teacher's fine part, which averaging frames reduces
    blocking_weight: float = 0.0  # of the difference of log blocking from the truth's

    def __post_init__(self):
        if not 0 <= self.fidelity_lpips <= 1:
            raise ValueError(f"fidelity_lpips {self.fidelity_lpips} is outside [0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationConfig:
    """Held-out clips that the averaged network is tried on at every checkpoint."""

    batches: int = 0  # of the data's batch size; 0: no validation
    noise_level: int = 20  # of the low-resolution frames


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One run of ``train.py``. Later stages read the weights of earlier ones from their folders."""

    stage: Stage
    data: DataConfig
    steps: int
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    accumulate: int = 1  # parts of a batch whose gradients are averaged before an update
    frozen_dtype: Literal["float32", "bfloat16"] = "float32"  # storage of what is not trained
    vae: VAEConfig | None = None
    unet: UNetConfig | None = None
    text_encoder: TextEncoderConfig | None = None
    raft: RAFTConfig | None = None
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    autoencoder_from: str | None = None  # work folder of the image autoencoder, or a model's
    decoder_from: str | None = None  # where a video decoder goes on from; None: the autoencoder's
    unet_from: str | None = None  # work folder of the U-Net, or a model's
    text_from: str = "default"  # model with the tokenizer and the text encoder
    noise_levels: tuple[int, int] = (0, 350)  # drawn for the low-resolution frames
    sampling_steps: int = 4  # of the latents that the video decoder is trained on
    true_latents: float = 0.25  # fraction of the decoder's batches on encoded targets instead
    lpips_weight: float = 1.0
    full_perception_level: int | None = None  # noise level below which LPIPS and the adversarial
    # loss count less, in proportion: little noise asks for fidelity; None: they always count fully
    kl_weight: float = 1e-6
    min_snr: float | None = None  # gamma of min-SNR weighting (Hang et al., ICCV 2023); None: off
    whole_decoder: bool = False  # the video decoder's image layers learn too
    through_sampler: bool = False  # the U-Net learns too, from the decoded frames
    lpips_stages: int = 3  # of VGG16's five
    lpips_window: int = 64  # pixels of a crop's side that LPIPS looks at, at a random place
    lpips_frames: int | None = None  # frames of a clip that LPIPS looks at; None: all
    lpips_scales: int = 1  # sizes (1, 1/2, 1/4, ...) that LPIPS looks at
    change_weight: float = 0.0  # of the L1 between the frames' changes over time
    distillation: DistillationConfig | None = None  # of that stage
    adversarial: AdversarialConfig | None = None  # None: L1 and LPIPS alone
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    divergence: float = 50.0  # a loss this many times its recent median ends the run
    seed: int = 0
    log_every: int = 20  # steps
    checkpoint_every: int = 200  # steps
    keep_checkpoints: int = 2

    def __post_init__(self):
        counts = ("steps", "accumulate", "log_every", "checkpoint_every", "keep_checkpoints")
        optional = ("lpips_frames", "full_perception_level")
        for name in (*counts, *optional, "lpips_window", "lpips_scales"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} is not positive")
        if self.data.batch_size % self.accumulate:
            raise ValueError(
                f"batch size {self.data.batch_size} does not divide into {self.accumulate} parts"
            )
        decoder = ("vae", "unet", "text_encoder", "unet_from")
        decoder += () if self.decoder_from else ("autoencoder_from",)
        needs = {
            "image_autoencoder": ("vae",),
            "image_unet": ("vae", "unet", "text_encoder", "autoencoder_from"),
            "temporal_unet": ("vae", "unet", "text_encoder", "autoencoder_from", "unet_from"),
            "flow": ("raft",),
            "video_decoder": decoder,
            "distillation": (
                "vae",
                "unet",
                "text_encoder",
                "distillation",
                "full_perception_level",
            ),
        }
        if not 1 <= self.lpips_stages <= 5:
            raise ValueError(f"lpips_stages {self.lpips_stages} is outside 1..5")
        if self.through_sampler and self.stage != "video_decoder":
            raise ValueError(
                f"stage {self.stage} has no sampler to learn through; video_decoder has"
            )
        if self.vae and self.vae.residual and not (self.decoder_from or self.whole_decoder):
            raise ValueError("a residual decoder from nothing needs whole_decoder=True to learn")
        if self.vae and self.vae.trunk and self.stage == "video_decoder":
            self._check_trunk()
        if self.unet and self.noise_levels[1] > self.unet.max_noise_level:
            raise ValueError(
                f"noise_levels {self.noise_levels}: the U-Net takes 0..{self.unet.max_noise_level}"
            )
        if self.adversarial and self.stage != "video_decoder":
            raise ValueError(f"stage {self.stage} has no adversarial loss; video_decoder has")
        if self.stage not in needs:
            raise ValueError(f"stage {self.stage!r}; expected one of {', '.join(needs)}")
        for stage, kind in (("flow", "flow"), ("distillation", "teacher_targets")):
            if (self.stage == stage) != (self.data.kind == kind):
                raise ValueError(
                    f"stage {self.stage} does not go with data kind {self.data.kind!r}"
                )
        if self.stage == "distillation" and not (self.vae and self.vae.trunk):
            raise ValueError("stage distillation trains a decoder with a trunk; vae has none")
        missing = [name for name in needs[self.stage] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"stage {self.stage} needs {', '.join(missing)}")

    def _check_trunk(self) -> None:
        """What the stage ``video_decoder`` cannot do with a decoder that has a trunk."""
        if self.true_latents:
            raise ValueError(
                f"true_latents {self.true_latents}: a decoder with a trunk has no encoder to make "
                "them; set 0"
            )
        if self.adversarial:
            raise ValueError("a decoder with a trunk has no adversarial loss")
        if not self.decoder_from:
            raise ValueError("a decoder with a trunk needs decoder_from, a trained one")
