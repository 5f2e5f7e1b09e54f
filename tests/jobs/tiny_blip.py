"""A BLIP captioning model of random weights in its published layout (needs PyTorch)."""

from pathlib import Path

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "dog", "on", "grass", "cat"]


def write_tiny_blip(folder: Path) -> None:
    """Model, tokenizer and image processor."""
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = BertTokenizer(str(folder / "vocab.txt"))
    small = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    marks = dict(bos_token_id=5, eos_token_id=3, sep_token_id=3, pad_token_id=0)
    config = BlipConfig(
        text_config=dict(small, vocab_size=len(WORDS), encoder_hidden_size=16, **marks),
        vision_config=dict(small, image_size=32, patch_size=16),
        projection_dim=16,
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
