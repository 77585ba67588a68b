"""The transformer as a stage of its own, for a denoiser that calls it through BLS."""

from __future__ import annotations

from typing import ClassVar

import torch

from orrery.engines.eager import EagerEngine
from orrery.stages.loading import ComponentCache
from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import TRANSFORMER, StageContract


class Transformer:
    contract: ClassVar[StageContract] = TRANSFORMER

    def __init__(self, settings: StageSettings):
        self._components = ComponentCache(settings, ComponentKind.TRANSFORMER, EagerEngine)

    def run(self, values: Values, call: Call) -> Values:  # noqa: ARG002  one evaluation is too short to be cancelled
        """See the contract. Without a condition mask the timestep is one for all frames, whatever dimensions carried it."""
        mask = values.get("condition_mask")
        timestep = torch.from_numpy(values["timestep"])
        sample = self._components[values["component"]](
            torch.from_numpy(values["hidden_states"]),
            timestep.reshape(1) if mask is None else timestep,
            torch.from_numpy(values["encoder_hidden_states"]),
            None if mask is None else torch.from_numpy(mask),
            values.get("rope_fps"),
        )
        return {"sample": sample.cpu().numpy()}
