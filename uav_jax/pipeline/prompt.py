"""Prompts to token ids and embeddings."""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from uav_jax.models.clip.model import TextEncoder
from uav_jax.shapes import Text

MAX_TOKENS = 77
ADDED_PROMPT = "best quality, extremely detailed"
NEGATIVE_PROMPT = "blur, worst quality"


def full_prompt(caption: str, added: str) -> str:
    """Caption and added prompt, plainly concatenated as published."""
    return caption + added


def load_tokenizer(directory: Path):
    """The CLIP tokenizer of a model directory; ``ValueError`` where its files are missing."""
    if not (directory / "vocab.json").is_file() or not (directory / "merges.txt").is_file():
        raise ValueError(f"{directory} holds no CLIP tokenizer (vocab.json and merges.txt)")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it misses PyTorch; we do not
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(directory))


def tokenize(tokenizer, prompts: list[str]) -> np.ndarray:
    """Token ids ``(B, 77)`` int32, cut and padded with the tokenizer's own pad token."""
    encoded = tokenizer(
        prompts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="np"
    )
    return encoded["input_ids"].astype(np.int32)


def encode_prompts(tokenizer, encoder: TextEncoder, prompts: list[str]) -> Text:
    """Embeddings ``(B, 77, D)`` of prompts."""
    return encoder(jnp.asarray(tokenize(tokenizer, prompts)))
