"""Axis legend, array aliases and value ranges shared by the whole package.

Axes: B batch, T frames, H and W rows and columns, C channels, L text tokens, N attention heads,
d head width, Q query positions, K key positions. Video tensors are ``B T H W C``.

Ranges: RGB is float in [-1, 1] inside the library and uint8 in [0, 255] in ``uav_jax.video`` only.
Latents are already multiplied by the autoencoder's scaling factor unless a name says ``unscaled``.
Flow is (dx, dy) in pixels of the map it is stored at.
"""

from jaxtyping import Array, Float, Int, UInt8

Video = Float[Array, "B T H W C"]
Frames = Float[Array, "N H W C"]
Flow = Float[Array, "B T H W 2"]
Text = Float[Array, "B L D"]
PerSample = Float[Array, " B"] | Int[Array, " B"]
Bytes = UInt8[Array, "T H W 3"]

LATENT_CHANNELS = 4
UPSCALE = 4
