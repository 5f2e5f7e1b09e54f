"""Prompts to token ids and embeddings."""

import os
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array
from tokenizers import Tokenizer

from uav_jax.models.clip.model import TextEncoder
from uav_jax.runtime.json_files import read_object
from uav_jax.shapes import Text

MAX_TOKENS = 77
MAX_FILE = 8 << 20
"""Bytes of a tokenizer's file; the released one's largest has 2 MB."""
ADDED_PROMPT = "best quality, extremely detailed"
NEGATIVE_PROMPT = "blur, worst quality"


def full_prompt(caption: str, added: str) -> str:
    """Caption and added prompt; a comma between them unless the caption ends in a separator.

    The published code joins them plainly, so that "rain" and "best quality" become one word.
    """
    plain = not caption or not added or caption[-1].isspace() or caption[-1] in ",.;:!?"
    return caption + added if plain else f"{caption}, {added}"


def split_phrases(prompt: str, known: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The phrases of a prompt that a model knows, in its order, and the others.

    Phrases are separated by commas, semicolons or lines; case, spaces and full stops do not matter.
    """
    parts = [" ".join(part.split()).strip(" .!?") for part in re.split("[,;\n]", prompt)]
    asked = {part.casefold() for part in parts}
    kept = [phrase for phrase in known if phrase.casefold() in asked]
    ignored = [part for part in parts if part and part.casefold() not in map(str.casefold, known)]
    return kept, ignored


def load_tokenizer(directory: Path) -> Tokenizer:
    """The CLIP tokenizer of a model directory, which cuts and pads to 77 tokens.

    From ``tokenizer.json`` where that cuts and pads so: ``transformers``, which reads the other
    files, takes a second to import.

    Raises:
        ValueError: where all files are missing, and where one of them is no tokenizer's.
    """
    try:
        return _load_tokenizer(directory)
    except ValueError:
        raise
    except Exception as error:  # the libraries raise bare ``Exception``
        raise ValueError(f"{directory} holds no CLIP tokenizer: {error!s:.200}") from None


def _load_tokenizer(directory: Path) -> Tokenizer:
    for name in ("tokenizer.json", "vocab.json", "tokenizer_config.json"):
        if (directory / name).exists():
            read_object(directory / name, MAX_FILE)
    whole = directory / "tokenizer.json"
    if whole.is_file():
        tokenizer = Tokenizer.from_file(str(whole))
        padded, cut = tokenizer.padding or {}, tokenizer.truncation or {}
        if padded.get("length") == cut.get("max_length") == MAX_TOKENS:
            return tokenizer
    if not (directory / "vocab.json").is_file() or not (directory / "merges.txt").is_file():
        raise ValueError(f"{directory} holds no CLIP tokenizer (vocab.json and merges.txt)")
    if (size := (directory / "merges.txt").stat().st_size) > MAX_FILE:
        raise ValueError(f"{directory / 'merges.txt'} has {size} bytes; up to {MAX_FILE} are read")
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it misses PyTorch; we do not
    from transformers import CLIPTokenizer

    found = CLIPTokenizer.from_pretrained(str(directory))
    pad = {"pad_id": found.pad_token_id, "pad_token": found.pad_token}
    found.backend_tokenizer.enable_truncation(MAX_TOKENS)
    found.backend_tokenizer.enable_padding(length=MAX_TOKENS, **pad)
    return found.backend_tokenizer


def tokenize(tokenizer: Tokenizer, prompts: list[str]) -> np.ndarray:
    """Token ids ``(B, 77)`` int32."""
    return np.array([encoded.ids for encoded in tokenizer.encode_batch(prompts)], np.int32)


def encode_prompts(tokenizer: Tokenizer, encoder: TextEncoder, prompts: list[str]) -> Text:
    """Embeddings ``(B, 77, D)`` of prompts."""
    return _encode(encoder, jnp.asarray(tokenize(tokenizer, prompts)))


@nnx.jit
def _encode(encoder: TextEncoder, tokens: Array) -> Text:
    return encoder(tokens)
