"""Prompts to embeddings, by whichever text encoder a component is."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import torch

from orrery.stages.loading import ComponentCache
from orrery.stages.residency import Room
from orrery.stages.stage import Call, StageSettings, Values
from orrery.stages.texts import Projection, load_text_model
from orrery.stages.texts.projection import projection_name
from orrery.stages.texts.qwen import language_name
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import CHOSEN, PROJECTION, TEXT_ENCODER, StageContract


class TextEncoder:
    contract: ClassVar[StageContract] = TEXT_ENCODER

    def __init__(self, settings: StageSettings):
        room = Room(settings.device_bytes)
        # Of a language model that sees and speaks, neither is loaded. All of a T5's tensors are its encoder's.
        self._components = ComponentCache(settings, ComponentKind.TEXT_ENCODER, load_text_model, room, language_name)
        # Which of the transformers here bring a projection for this text nobody knows before one is asked for.
        asked = replace(settings, preload=())
        self._projections = ComponentCache(asked, ComponentKind.TRANSFORMER, Projection, room, projection_name)

    def run(self, values: Values, call: Call) -> Values:
        """See the contract."""
        call.check_cancelled()
        with self._components.use(values["component"]) as encoder:
            states = encoder.encode(_prompt(values))
        return {"text_embeddings": self._projected(states, values).float().cpu().numpy()}

    def _projected(self, states: torch.Tensor, values: Values) -> torch.Tensor:
        """As the transformer named by `projection` wants them; as they are if none is."""
        if PROJECTION.name not in values:
            return states
        with self._projections.use(values[PROJECTION.name]) as project:
            return project(states)


def _prompt(values: Values) -> str:
    """As the client wrote it, or as a task before this one chose it."""
    prompt: str = values[CHOSEN.name].tobytes().decode() if CHOSEN.name in values else values["prompt"]
    return prompt
