"""Quality without a truth: CLIP-IQA (Wang et al., AAAI 2023) and MUSIQ (Ke et al., ICCV 2021).

Both come from ``pyiqa`` (extra ``noref``, which brings PyTorch), with its weights, which it fetches
at first use or finds in its cache. DOVER is in no maintained package that could be used here.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

NAMES = {"clipiqa": "clipiqa", "musiq": "musiq"}
"""Our name of a score -> pyiqa's."""

Score = Callable[[np.ndarray], float]


class MissingScore(ValueError):
    """A score whose package or weights are not there; the message says how to get them."""


def load_score(name: str) -> Score:
    """``score(frame) -> float`` for uint8 frames ``(H, W, 3)``; raises ``MissingScore``."""
    try:
        import pyiqa  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingScore(f'{name} needs {error.name}: install the extra "noref"') from error
    try:
        metric = pyiqa.create_metric(NAMES[name], device="cpu")
    except Exception as error:  # download errors come in many types
        raise MissingScore(
            f"{name}: pyiqa has no weights for it and could not fetch them ({error}); put them "
            "into its cache (~/.cache/torch/hub/pyiqa)"
        ) from error

    def score(frame: UInt8[np.ndarray, "H W 3"]) -> float:
        return float(metric(Image.fromarray(frame)))

    return score
