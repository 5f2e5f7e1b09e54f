"""Tokens of the shipped vocabulary."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from transformers import CLIPTokenizer

from uav_jax.pipeline.prompt import MAX_TOKENS, full_prompt, load_tokenizer, split_phrases, tokenize
from uav_jax.weights.model_files import DEFAULT_DIRECTORY


def test_prompts_are_cut_and_padded_to_77_between_the_end_tokens():
    tokenizer = load_tokenizer(DEFAULT_DIRECTORY / "tokenizer")
    ids = tokenize(tokenizer, ["a dog", "", "word " * 300])
    assert ids.shape == (3, MAX_TOKENS) and ids.dtype == np.int32
    start, end, pad = (tokenizer.token_to_id(t) for t in ("<|startoftext|>", "<|endoftext|>", "!"))
    assert (ids[:, 0] == start).all() and ids[1, 1] == end and ids[2, -1] == end
    assert (ids[1, 2:] == pad).all()


@pytest.mark.parametrize("folder", [True, False], ids=["tokenizer.json", "vocabulary"])
def test_tokens_are_those_of_transformers(folder, tmp_path):
    source = DEFAULT_DIRECTORY / "tokenizer"
    if not folder:
        left_out = shutil.ignore_patterns("tokenizer.json")
        source = shutil.copytree(source, tmp_path / "tokenizer", ignore=left_out)
    prompts = [
        "a dog",
        "",
        "word " * 300,
        "ZÜRICH, 東京 — naïve café!",
        "  two\n\tlines  ",
        "it's 2x4's",
    ]
    prompts += ["best quality, extremely detailed", "<|endoftext|> !", "👍🏽 emoji", "x" * 200]
    theirs = CLIPTokenizer.from_pretrained(str(DEFAULT_DIRECTORY / "tokenizer"))(
        prompts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="np"
    )
    ours = tokenize(load_tokenizer(source), prompts)
    assert np.array_equal(ours, theirs["input_ids"]) and len(np.unique(ours, axis=0)) > 8


def test_the_shipped_tokenizer_does_not_import_transformers():
    code = (
        "import sys; from uav_jax.weights.model_files import DEFAULT_DIRECTORY as d;"
        "from uav_jax.pipeline.prompt import load_tokenizer; load_tokenizer(d / 'tokenizer');"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_any_unicode_text_has_tokens_of_the_vocabulary():
    tokenizer = load_tokenizer(DEFAULT_DIRECTORY / "tokenizer")
    ids = tokenize(tokenizer, ["Zürich, 東京 — naïve café!"])
    assert ids.max() < tokenizer.get_vocab_size()


@pytest.mark.parametrize(
    ("caption", "added", "prompt"),
    [
        ("a cat, ", "sharp", "a cat, sharp"),
        ("A cat. ", "sharp", "A cat. sharp"),
        ("rain", "best quality", "rain, best quality"),
        ("", "sharp", "sharp"),
        ("rain", "", "rain"),
    ],
)
def test_caption_and_added_prompt_do_not_grow_together(caption, added, prompt):
    assert full_prompt(caption, added) == prompt


def test_phrases_that_a_model_knows_are_found_in_its_order():
    known = ("drawing", "keep film grain")
    kept, ignored = split_phrases("Keep  film grain,a cat\nDRAWING,, drawing", known)
    assert (kept, ignored) == (["drawing", "keep film grain"], ["a cat"])
    assert split_phrases("Drawing.; keep film grain!", known) == (list(known), [])
    assert split_phrases("", known) == ([], [])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokenizer.json", "[1]", "holds a list; expected a JSON object"),
        ("tokenizer.json", "{}", "holds no CLIP tokenizer"),
        ("tokenizer.json", '{"a": ' + "[" * 10**5, "nests deeper"),
        ("tokenizer.json", " " * ((8 << 20) + 1), "up to 8388608 are accepted"),
        ("vocab.json", '{"a": "b"}', "holds no CLIP tokenizer"),
        ("merges.txt", "no merges at all here\n" * 3, "holds no CLIP tokenizer"),
    ],
)
def test_damaged_tokenizers_are_refused_in_one_line(name, text, message, tmp_path):
    copy = shutil.copytree(DEFAULT_DIRECTORY / "tokenizer", tmp_path / "tokenizer")
    if name != "tokenizer.json":
        (copy / "tokenizer.json").unlink()
    (copy / name).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(copy)
    assert len(str(error.value).splitlines()) == 1
