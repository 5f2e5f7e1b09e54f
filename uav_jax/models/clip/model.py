"""CLIP's text transformer (Radford et al., ICML 2021): the last hidden state is what guides."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from uav_jax.layers.attention import attention
from uav_jax.layers.linear import Embed, Linear, layer_settings
from uav_jax.layers.norm import LayerNorm
from uav_jax.models.clip.config import TextEncoderConfig


class CausalSelfAttention(nnx.Module):
    """Multi-head self-attention in which a token sees itself and what stands before it."""

    def __init__(self, config: TextEncoderConfig, *, rngs: nnx.Rngs | None):
        width = config.hidden_size
        settings = layer_settings(config, rngs)
        self.heads = config.num_attention_heads
        self.q_proj = Linear(width, width, **settings)
        self.k_proj = Linear(width, width, **settings)
        self.v_proj = Linear(width, width, **settings)
        self.out_proj = Linear(width, width, **settings)

    def __call__(self, x: Float[Array, "B L D"]) -> Float[Array, "B L D"]:
        B, L, D = x.shape
        split = (B, L, self.heads, D // self.heads)
        q = self.q_proj(x).reshape(split) * (D // self.heads) ** -0.5
        k, v = self.k_proj(x).reshape(split), self.v_proj(x).reshape(split)
        mask = jnp.where(jnp.tril(jnp.ones((L, L), bool)), 0.0, -jnp.inf)
        return self.out_proj(attention(q, k, v, mask).reshape(x.shape))


class EncoderLayer(nnx.Module):
    """Attention and a two-layer perceptron, each with LayerNorm before and a residual."""

    def __init__(self, config: TextEncoderConfig, *, rngs: nnx.Rngs | None):
        settings = layer_settings(config, rngs)
        width, epsilon = config.hidden_size, config.layer_norm_eps
        self.layer_norm1 = LayerNorm(width, epsilon=epsilon, **settings)
        self.self_attn = CausalSelfAttention(config, rngs=rngs)
        self.layer_norm2 = LayerNorm(width, epsilon=epsilon, **settings)
        self.fc1 = Linear(width, config.intermediate_size, **settings)
        self.fc2 = Linear(config.intermediate_size, width, **settings)

    def __call__(self, x: Float[Array, "B L D"]) -> Float[Array, "B L D"]:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.fc2(jax.nn.gelu(self.fc1(self.layer_norm2(x)), approximate=False))


class TextEncoder(nnx.Module):
    """Token ids ``(B, 77)`` to the last hidden state after the final LayerNorm, float32."""

    def __init__(self, config: TextEncoderConfig, *, rngs: nnx.Rngs | None):
        settings = layer_settings(config, rngs)
        width = config.hidden_size
        self.config = config
        self.token_embedding = Embed(config.vocab_size, width, **settings)
        self.position_embedding = Embed(config.max_position_embeddings, width, **settings)
        self.layers = nnx.List(
            [EncoderLayer(config, rngs=rngs) for _ in range(config.num_hidden_layers)]
        )
        self.final_layer_norm = LayerNorm(width, epsilon=config.layer_norm_eps, **settings)

    def __call__(self, tokens: Int[Array, "B L"]) -> Float[Array, "B L D"]:
        x = self.token_embedding(tokens) + self.position_embedding(jnp.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.final_layer_norm(x).astype(jnp.float32)
