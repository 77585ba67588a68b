"""Prompts to embeddings by Qwen2.5-VL, which is Cosmos-Reason1, for Predict2.5: what every layer of it has to say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLTextModel

from orrery.engines.weights import load_part

SYSTEM_PROMPT = "You are a helpful assistant who will provide prompts to an image generator."
TOKENS = 512
"""Of every embedding, or fewer where the tokenizer says so: a longer conversation is cut off, a shorter one filled up."""
PREFIXES = ("model.language_model.", "language_model.model.", "model.")
"""Before the names of the language model's tensors: as transformers saves them today, and as it saved them before."""
UNUSED = ("visual.", "model.visual.", "lm_head.", "language_model.lm_head.")
"""What sees pictures and what speaks: neither is loaded."""


class Qwen:
    """The language model of a `Qwen2_5_VLForConditionalGeneration`, and its tokenizer with the chat template."""

    def __init__(self, folder: Path, device: torch.device):
        self._tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        self._model = load_part(lambda: _language_model(folder), folder, device, language_name)
        self._device = device

    @torch.inference_mode()
    def encode(self, prompt: str) -> torch.Tensor:
        """[512, layers * width] in the model's element type: each layer's states, each to mean 0 and deviation 1, side by side.

        Padding is encoded with the rest, and nothing masks it later (diffusers, `Cosmos2_5_PredictBasePipeline`).
        """
        return every_layer(self._model, tokens_of([prompt], self._tokenizer).to(self._device))[0]


def tokens_of(prompts: Sequence[str], tokenizer: Any) -> torch.Tensor:
    """INT64 [n, 512] of conversations in each of which the user says a prompt."""
    tokens = tokenizer.apply_chat_template(
        [[_says("system", SYSTEM_PROMPT), _says("user", prompt)] for prompt in prompts],
        tokenize=True,
        add_generation_prompt=False,
        add_vision_id=False,
        max_length=min(TOKENS, tokenizer.model_max_length),
        truncation=True,
        padding="max_length",
        return_dict=True,
        return_tensors="pt",
    )
    ids: torch.Tensor = tokens["input_ids"]
    return ids


def every_layer(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """[n, tokens, layers * width]: the states of all decoder layers, each token's to mean 0 and deviation 1, side by side."""
    states = model(tokens, output_hidden_states=True, use_cache=False).hidden_states[1:]
    return torch.cat([_normalised(layer) for layer in states], dim=-1)


def _says(role: str, text: str) -> dict[str, object]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _language_model(folder: Path) -> torch.nn.Module:
    model: torch.nn.Module = Qwen2_5_VLTextModel(Qwen2_5_VLConfig.from_pretrained(folder, local_files_only=True).text_config)
    return model


def language_name(name: str) -> str | None:
    """The language model's own name of a stored tensor; None for what is not of it."""
    if name.startswith(UNUSED):
        return None
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _normalised(states: torch.Tensor) -> torch.Tensor:
    """Each token's state less its mean, in units of its deviation."""
    return (states - states.mean(dim=-1, keepdim=True)) / (states.std(dim=-1, keepdim=True) + 1e-8)
