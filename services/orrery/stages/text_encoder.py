"""Prompts to embeddings by T5."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from transformers import T5EncoderModel, T5TokenizerFast

from orrery.engines.weights import load_pretrained
from orrery.stages.loading import ComponentCache
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import CHOSEN, TEXT_ENCODER, StageContract


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


class TextEncoder:
    contract: ClassVar[StageContract] = TEXT_ENCODER

    def __init__(self, settings: StageSettings):
        self._components = ComponentCache(settings, ComponentKind.TEXT_ENCODER, T5)

    def run(self, values: Values, call: Call) -> Values:
        """See the contract."""
        call.check_cancelled()
        with self._components.use(values["component"]) as encoder:
            return {"text_embeddings": encoder.encode(_prompt(values)).cpu().numpy()}


def _prompt(values: Values) -> str:
    """As the client wrote it, or as a task before this one chose it."""
    prompt: str = values[CHOSEN.name].tobytes().decode() if CHOSEN.name in values else values["prompt"]
    return prompt
