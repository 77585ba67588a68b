"""The text side of the miniature in the form of Predict2.5: a small Qwen2.5-VL and its tokenizer."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer

from miniature.networks import words
from orrery.stages.texts.qwen import SYSTEM_PROMPT, tokens_of

WIDTH, LAYERS = 128, 4
MAX_TOKENS = 128
END = "<|endoftext|>"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SPACE = "Ġ"
"""How a byte-level tokenizer writes the space before a word."""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
)


def qwen_tokenizer() -> Any:
    """Byte-level, with every word of a caption as one token: each is joined from its start, letter by letter."""
    merges = dict.fromkeys((word[:end], word[end]) for word in _known() for end in range(1, len(word)))
    pieces = [*sorted(ByteLevel.alphabet()), *(start + letter for start, letter in merges), END, *SPECIAL]
    return Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(dict.fromkeys(pieces))},
        merges=list(merges),
        chat_template=TEMPLATE,
        extra_special_tokens=list(SPECIAL),
        padding_side="right",
        model_max_length=MAX_TOKENS,
    )


def _known() -> list[str]:
    """The words with a space before them, and as the first of a caption."""
    spoken = {*words(), *SYSTEM_PROMPT.rstrip(".").split()}
    return sorted({f"{SPACE}{word}" for word in spoken} | {word.capitalize() for word in words()} | {"system", "user"})


def qwen() -> Any:
    """What sees pictures is there because the class has it; nothing asks it."""
    tokenizer = qwen_tokenizer()
    number = dict(zip(SPECIAL, tokenizer.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    config = Qwen2_5_VLConfig(
        text_config={
            "hidden_size": WIDTH,
            "intermediate_size": 384,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
            "vocab_size": len(tokenizer),
            "tie_word_embeddings": True,
            "bos_token_id": number["<|im_start|>"],
            "eos_token_id": number["<|im_end|>"],
        },
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": WIDTH},
        vision_start_token_id=number["<|vision_start|>"],
        vision_end_token_id=number["<|vision_end|>"],
        image_token_id=number["<|image_pad|>"],
        video_token_id=number["<|video_pad|>"],
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


class Conversations:
    """Token ids [N, K, 128] of conversations about captions, and of the one about nothing, which stands for no caption."""

    def __init__(self, texts: list[list[str]], device: torch.device):
        tokenizer = qwen_tokenizer()
        ids = [tokens_of(choices, tokenizer).short() for choices in texts]
        self._ids = torch.stack(ids).to(device)
        self._empty = tokens_of([""], tokenizer)[0].to(device)

    def pick(self, numbers: torch.Tensor, dropout: float) -> torch.Tensor:
        """INT64 [n, 128]: of each scene any of its captions."""
        choice = torch.randint(self._ids.shape[1], numbers.shape, device=numbers.device)
        dropped = torch.rand(numbers.shape, device=numbers.device)[:, None] < dropout
        return torch.where(dropped, self._empty, self._ids[numbers, choice].long())
