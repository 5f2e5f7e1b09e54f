"""What a user wants of a result, beside the model's settings."""

from dataclasses import asdict, dataclass, field

from uav_jax.shapes import UPSCALE
from uav_jax.video.codecs import OutputFormat
from uav_jax.video.source import ReadOptions, SourceInfo

LARGE = 1280 * 1280
"""Pixels from which the published code reduces an input four times first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """How a source is read, and what is written.

    Raises:
        ValueError: A value that is not possible.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    output: OutputFormat = field(default_factory=OutputFormat)
    scale: int = UPSCALE  # 2, 3 or 4
    height: int | None = None  # of the result, instead of a scale
    pre_scale: float = 1.0  # the input is reduced to this part of its size first
    scenes: str | tuple[int, ...] = "auto"  # "auto", "off", or the first frames of later scenes
    published: bool = False  # reduce large inputs and truncate to 8 bits as the published code does
    overwrite: bool = False
    suffix: str = ""  # appended to the names of results

    def __post_init__(self):
        if self.scale not in (2, 3, 4):
            raise ValueError(f"scale {self.scale}; expected 2, 3 or 4")
        if self.height is not None and self.height < 1:
            raise ValueError(f"height {self.height} is not positive")
        if self.height is not None and self.scale != UPSCALE:
            raise ValueError(f"height {self.height} and scale {self.scale}: give one of them")
        if set(self.suffix) & set("/\\\0") or self.suffix.startswith("."):
            raise ValueError(
                f"save_suffix {self.suffix!r}; expected a word without slashes, no dot first"
            )
        if not 0 < self.pre_scale <= 1:
            raise ValueError(f"pre_scale {self.pre_scale:g} is outside 0..1")
        if isinstance(self.scenes, str) and self.scenes not in ("auto", "off"):
            raise ValueError(
                f"scenes {self.scenes!r}; expected auto, off, or frame numbers such as 48,120"
            )

    def model_size(self, source: SourceInfo) -> tuple[int, int]:
        """Height and width of the frames that the model sees."""
        height, width = source.height, source.width
        if self.published and height * width >= LARGE:
            return height // UPSCALE, width // UPSCALE
        return (max(1, round(height * self.pre_scale)), max(1, round(width * self.pre_scale)))

    def to_json(self) -> dict:
        """Everything that the result depends on, for its record."""
        values = asdict(self)
        del values["overwrite"], values["suffix"]
        read = values.pop("read")
        del read["limits"]
        part, rate = self.read.part, self.read.rate
        read["part"] = [p and p.text for p in (part.start, part.stop)]
        read["rate"] = rate and str(rate)
        return values | read
