"""Tokens of the shipped vocabulary."""

import numpy as np

from uav_jax.pipeline.prompt import MAX_TOKENS, full_prompt, load_tokenizer, tokenize
from uav_jax.weights.model_files import DEFAULT_DIRECTORY


def test_prompts_are_cut_and_padded_to_77_between_the_end_tokens():
    tokenizer = load_tokenizer(DEFAULT_DIRECTORY / "tokenizer")
    ids = tokenize(tokenizer, ["a dog", "", "word " * 300])
    assert ids.shape == (3, MAX_TOKENS) and ids.dtype == np.int32
    start, end, pad = (
        tokenizer.convert_tokens_to_ids(t) for t in ("<|startoftext|>", "<|endoftext|>", "!")
    )
    assert (ids[:, 0] == start).all() and ids[1, 1] == end and ids[2, -1] == end
    assert (ids[1, 2:] == pad).all()


def test_any_unicode_text_has_tokens_of_the_vocabulary():
    tokenizer = load_tokenizer(DEFAULT_DIRECTORY / "tokenizer")
    ids = tokenize(tokenizer, ["Zürich, 東京 — naïve café!"])
    assert ids.max() < len(tokenizer)


def test_caption_and_added_prompt_are_plainly_joined():
    assert full_prompt("a cat, ", "sharp") == "a cat, sharp"
