"""Components of `tiny-predict25`: a Qwen2.5-VL with a byte-level tokenizer, and a transformer that projects what it says.

The layout is that of the released checkpoint: no learnable positional embedding, RoPE (1, 3, 3), a channel for the condition
mask, a projection of all layers of the text encoder side by side, and beside the language model its vision tower and head.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from tiny_parts import TEXT_WIDTH, Recipe, randomise, seeded, transformer
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from orrery.worlds.components import ComponentKind

LAYERS, WIDTH = 2, 24
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What Qwen's own does with text."""


def tokenizer() -> Any:
    """Every byte is a token, and every pair of small letters, so that prompts of usual length fit."""
    pairs = [(a, b) for a in string.ascii_lowercase for b in string.ascii_lowercase]
    words = [*sorted(ByteLevel.alphabet()), *(a + b for a, b in pairs), *SPECIAL]
    vocabulary = {word: number for number, word in enumerate(words)}
    return Qwen2Tokenizer(
        vocab=vocabulary, merges=pairs, chat_template=TEMPLATE, extra_special_tokens=list(SPECIAL[1:]), padding_side="right"
    )


def text_encoder(folder: Path) -> ComponentKind:
    words = tokenizer()
    words.save_pretrained(folder / "tokenizer")
    number = words.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": WIDTH,
            "intermediate_size": 32,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 3,
            "num_key_value_heads": 1,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
            "vocab_size": len(words),
            "bos_token_id": number(SPECIAL[1]),
            "eos_token_id": number(SPECIAL[2]),
        },
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH},
        vision_start_token_id=number(SPECIAL[3]),
        vision_end_token_id=number(SPECIAL[4]),
        image_token_id=number(SPECIAL[5]),
        video_token_id=number(SPECIAL[6]),
    )
    model = seeded(lambda: Qwen2_5_VLForConditionalGeneration(config))
    randomise(model, gain=1.0)
    model.save_pretrained(folder)
    return ComponentKind.TEXT_ENCODER


def base(folder: Path) -> ComponentKind:
    return transformer(
        folder,
        in_channels=17,
        rope_scale=(1.0, 3.0, 3.0),
        use_crossattn_projection=True,
        crossattn_proj_in_channels=LAYERS * WIDTH,
        encoder_hidden_states_channels=TEXT_WIDTH,
    )


COMPONENTS = {
    "tiny-qwen": Recipe(text_encoder),
    "tiny-predict25-base": Recipe(base, shown_by="tiny-wan-vae"),
}
