"""The pipelines of diffusers for Predict1, made of the same components: the numbers to be equal to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from diffusers import (
    AutoencoderKLCosmos,
    CosmosTextToWorldPipeline,
    CosmosVideoToWorldPipeline,
    EDMEulerScheduler,
)

from orrery.worlds.catalog import predict1
from orrery.worlds.catalog.models import ModelSpec
from stages.reference import Pipelines, Result, given, kept_run


class Reference(Pipelines):
    """Both pipelines over the components of a model, the tiny one's if not told otherwise."""

    def __init__(self, models_dir: Path, model: ModelSpec = predict1.TINY):
        super().__init__(models_dir, model, AutoencoderKLCosmos, scheduler)
        assert model.text is not None
        assert model.world is not None
        self.text = self.pipeline(CosmosTextToWorldPipeline, model.text.component)
        self.world = self.pipeline(CosmosVideoToWorldPipeline, model.world.component)

    def text2world(self, **arguments: Any) -> Result:
        return kept_run(self.text, **arguments)

    def video2world(self, conditioning: np.ndarray, **arguments: Any) -> Result:
        return kept_run(self.world, **given(conditioning), **arguments)


def scheduler() -> Any:
    """As diffusers' converter configures it for Predict1."""
    return EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, final_sigmas_type="sigma_min")
