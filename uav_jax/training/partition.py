"""Which parameters a stage trains. Every parameter must match exactly one side."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from uav_jax.training.functional import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Partition:
    """Regular expressions (searched in our dotted names) of trained and of frozen parameters."""

    trained: tuple[str, ...]
    frozen: tuple[str, ...]

    def names(self, parameters: Iterable[str]) -> tuple[list[str], list[str]]:
        """(trained, frozen) names; ``ValueError`` names what is on neither side or on both."""
        sides: tuple[list[str], list[str]] = ([], [])
        wrong = []
        for name in parameters:
            hits = [any(re.search(p, name) for p in side) for side in (self.trained, self.frozen)]
            if hits[0] == hits[1]:
                wrong.append(f"{name} ({'both' if hits[0] else 'neither'})")
            else:
                sides[hits.index(True)].append(name)
        if wrong:
            raise ValueError(f"parameters on both sides or on neither: {', '.join(wrong)}")
        return sides

    def split(self, parameters: Parameters) -> tuple[Parameters, Parameters]:
        """(trained, frozen) values."""
        trained, frozen = self.names(parameters)
        return {n: parameters[n] for n in trained}, {n: parameters[n] for n in frozen}


EVERYTHING = Partition(trained=(r"^(?!rotary\.)",), frozen=(r"^rotary\.freqs$",))
"""All parameters; the rotary frequencies are constants in every stage."""

FLOW = Partition(
    trained=(
        r"^fnet\.",
        r"^update\.",
        r"^cnet\.(?!.*\.(mean|variance)$)(?!norm1\.(mean|variance)$)",
    ),
    frozen=(r"^cnet\.(.*\.)?(mean|variance)$",),
)
"""RAFT: everything but the statistics of the context network's norms, which stay 0 and 1."""

_UNET_ADDED = (
    r"^(down|up)_temporal\.\d+\.",
    r"^mid_temporal\.",
    r"\.resblock_temporal\.",
    r"\.(attn|norm)_temporal\.",
)
_UNET_IMAGE = (
    r"^(conv_in|conv_out|conv_norm_out|time_embedding|noise_level_embedding)\.",
    r"^rotary\.freqs$",
    r"_block(s\.\d+)?\.resnets\.\d+\.",
    r"_blocks\.\d+\.resample\.",
    r"\.attentions\.\d+\.(norm|proj_in|proj_out)\.",
    r"\.transformer_blocks\.\d+\.(attn1|attn2|norm1|norm2|norm3|ff)\.",
)

UNET_TEMPORAL = Partition(trained=_UNET_ADDED, frozen=_UNET_IMAGE)
"""Stage 1: everything that the video model added to the image U-Net."""

UNET_IMAGE = Partition(
    trained=tuple(p for p in _UNET_IMAGE if "rotary" not in p),
    frozen=(*_UNET_ADDED, r"^rotary\.freqs$"),
)
"""The image U-Net below it, which the released model inherits and ours has to train."""

_DECODER_ADDED = (r"^decoder\.condition_(in|fuse)\.", r"^decoder\.(?!condition).*_3d\.")

DECODER_TEMPORAL = Partition(
    trained=_DECODER_ADDED,
    frozen=(r"^(encoder|quant_conv|post_quant_conv)\.", r"^decoder\.(?!condition)(?!.*_3d\.)"),
)
"""Stage 2: the video decoder's condition branch and 3-D layers."""

DECODER_WHOLE = Partition(
    trained=(r"^decoder\.", r"^post_quant_conv\."), frozen=(r"^(encoder|quant_conv)\.",)
)
"""The whole decoder: for a small model, whose image decoder is not worth freezing."""

TRUNK_IMAGE = Partition(
    trained=(
        r"^decoder\.(head|body|conv_out|condition_in|condition_fuse)\.",
        r"^post_quant_conv\.",
    ),
    frozen=(r"^decoder\.temporal\.",),
)
"""A trunk decoder on single frames, which cannot teach its 3-D layers."""
