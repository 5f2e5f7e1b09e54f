"""Normal random numbers as PyTorch's CPU generator draws them, without PyTorch.

MT19937 is seeded with the low 32 bits of the seed. From 16 values on, uniforms of 24 bits are
transformed in blocks of 16 (Box and Muller, 1958):

    d_j = r cos(2 pi u_{j+8}),  d_{j+8} = r sin(2 pi u_{j+8}),  r = sqrt(-2 ln(1 - u_j))      (1)

for j < 8, and the last 16 values are redrawn if a block was left partial. Fewer values are drawn
one by one from uniforms of 53 bits; every second one is the sine that its predecessor left, however
many blocks lie between.
"""

import math

import numpy as np

BLOCK = 16


class TorchGenerator:
    """The state of ``torch.Generator("cpu")`` after ``manual_seed(seed)``."""

    def __init__(self, seed: int):
        self._words = np.random.RandomState(seed & 0xFFFFFFFF)
        self._kept: float | None = None

    def _raw(self, count: int) -> np.ndarray:
        return np.frombuffer(self._words.bytes(4 * count), "<u4")

    def _blocks(self, count: int) -> np.ndarray:
        """Equation (1) for the whole blocks of ``count`` uniforms."""
        whole = self._raw(count)[: count // BLOCK * BLOCK]
        uniform = (whole & 0xFFFFFF).reshape(-1, BLOCK) / 2.0**24
        radius = np.sqrt(-2 * np.log(1 - uniform[:, :8]))
        angle = 2 * np.pi * uniform[:, 8:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)

    def _double(self) -> float:
        high, low = map(int, self._raw(2))
        return ((high << 32 | low) & (2**53 - 1)) / 2**53

    def _single(self) -> float:
        if self._kept is not None:
            value, self._kept = self._kept, None
            return value
        angle = 2 * math.pi * self._double()
        radius = math.sqrt(-2 * math.log1p(-self._double()))
        self._kept = radius * math.sin(angle)
        return radius * math.cos(angle)

    def randn(self, *shape: int) -> np.ndarray:
        """``torch.randn(shape, generator=self)``, float32."""
        count = math.prod(shape)
        if count < BLOCK:
            values = np.array([self._single() for _ in range(count)])
        else:
            values = self._blocks(count)
            if count % BLOCK:
                values = np.concatenate([values, np.empty(count % BLOCK)])
                values[-BLOCK:] = self._blocks(BLOCK)
        return values.astype(np.float32).reshape(shape)
