"""The default model's own tokenizer and text encoder.

    python -m uav_jax.training.text CORPUS OUT

trains a byte-pair vocabulary on CORPUS (``configs/default/prompt_corpus.txt``) and writes it in
CLIP's file format, next to a small text encoder with seeded weights. The encoder is never trained:
the U-Net learns to read its embeddings, which tell prompts apart but carry no knowledge of the
world.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from uav_jax.models.clip.config import TextEncoderConfig
from uav_jax.models.clip.model import TextEncoder
from uav_jax.pipeline.prompt import load_tokenizer
from uav_jax.training.functional import initialise
from uav_jax.weights import tables
from uav_jax.weights.engine import to_published

START, END = "<|startoftext|>", "<|endoftext|>"
SEED = 2312


def byte_characters() -> list[str]:
    """The 256 printable characters that stand for bytes in GPT-2's and CLIP's vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(c) for c in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def train_bpe(words: list[str], size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-pair encoding with CLIP's end-of-word marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    characters = byte_characters()
    base = characters + [c + "</w>" for c in characters] + [START, END]
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.BPEDecoder()
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=1, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(words, trainer)
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    kept = [pair for pair in merges if pair[0] + pair[1] not in base][: size - len(base)]
    tokens = base[:-2] + [a + b for a, b in kept] + base[-2:]
    return {token: i for i, token in enumerate(tokens)}, kept


def write_tokenizer(corpus: str, directory: Path, size: int) -> None:
    """CLIP's tokenizer files: ``vocab.json``, ``merges.txt`` and the two settings files."""
    words = corpus.lower().replace(",", " , ").split()
    vocabulary, merges = train_bpe(words, size)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": "!"}
    settings = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", **special}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    (directory / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
    load_tokenizer(directory).save(str(directory / "tokenizer.json"))


def write_text_encoder(config: TextEncoderConfig, directory: Path) -> None:
    """A seeded text encoder in the published layout, float16."""
    directory.mkdir(parents=True, exist_ok=True)
    parameters = initialise(partial(TextEncoder, config), SEED)
    values = {name: np.asarray(value) for name, value in parameters.items()}
    published = to_published(tables.TEXT_ENCODER, values)
    half = {
        name: np.ascontiguousarray(v.astype(np.float16) if v.dtype == np.float32 else v)
        for name, v in published.items()
    }
    save_file(half, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config.to_published(), indent=1))


def main() -> None:
    """Command line: corpus file and target folder."""
    corpus, out = Path(sys.argv[1]), Path(sys.argv[2])
    config = TextEncoderConfig.default_model()
    write_tokenizer(corpus.read_text(), out / "tokenizer", config.vocab_size)
    write_text_encoder(config, out / "text_encoder")


if __name__ == "__main__":
    main()
