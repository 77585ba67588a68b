"""Prompts to embeddings by T5, for Predict1 and Predict2."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import T5EncoderModel, T5TokenizerFast

from orrery.engines.weights import load_pretrained


class T5:
    """A T5 encoder with its tokenizer. The tokenizer's `model_max_length` is the number of tokens of every embedding."""

    def __init__(self, folder: Path, device: torch.device):
        self._tokenizer = T5TokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True)
        self._model = load_pretrained(T5EncoderModel, folder, device)
        self._device = device

    @torch.inference_mode()
    def encode(self, prompt: str) -> torch.Tensor:
        """FP32 [tokens, width], zero after the prompt's last token; a longer prompt is cut off (cosmos-predict2, `t5.py`)."""
        tokens = self._tokenizer(prompt, padding="max_length", truncation=True, return_tensors="pt").to(self._device)
        mask = tokens.attention_mask.bool()
        embeddings: torch.Tensor = self._model(tokens.input_ids, attention_mask=mask).last_hidden_state[0]
        embeddings = embeddings.float()
        embeddings[int(mask.sum()) :] = 0
        return embeddings
