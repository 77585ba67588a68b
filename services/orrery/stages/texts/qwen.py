"""Prompts to embeddings by Qwen2.5-VL, which is Cosmos-Reason1, for Predict2.5: what every layer of it has to say."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLTextModel

from orrery.engines.weights import load_part

SYSTEM_PROMPT = "You are a helpful assistant who will provide prompts to an image generator."
TOKENS = 512
"""Of every embedding: a longer conversation is cut off, a shorter one filled up with the tokenizer's padding."""
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
        states = self._model(self._tokens(prompt), output_hidden_states=True, use_cache=False).hidden_states[1:]
        return torch.cat([_normalised(layer) for layer in states], dim=-1)[0]

    def _tokens(self, prompt: str) -> torch.Tensor:
        """INT64 [1, 512] of the conversation in which the user says the prompt."""
        conversation = [_says("system", SYSTEM_PROMPT), _says("user", prompt)]
        tokens = self._tokenizer.apply_chat_template(
            conversation,
            tokenize=True,
            add_generation_prompt=False,
            add_vision_id=False,
            max_length=TOKENS,
            truncation=True,
            padding="max_length",
            return_dict=True,
            return_tensors="pt",
        )
        ids: torch.Tensor = tokens["input_ids"]
        return ids.to(self._device)


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
