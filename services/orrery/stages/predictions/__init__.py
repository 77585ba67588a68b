"""Predictions: what stands between a network and a sampler. By the names of the samplers, each of which wants one kind."""

from __future__ import annotations

from orrery.stages.predictions.edm import DiffusersEdm, Edm, OfficialEdm
from orrery.stages.predictions.prediction import Prediction
from orrery.stages.predictions.rectified_flow import SIGMA_CONDITIONAL, RectifiedFlow
from orrery.stages.predictions.trigflow import TrigFlow
from orrery.stages.predictions.velocity import TruncatedVelocity, Velocity
from orrery.worlds.catalog.models import Sampler

PREDICTIONS: dict[str, type[Prediction]] = {
    Sampler.RES_2AB.value: RectifiedFlow,
    Sampler.EULER.value: RectifiedFlow,
    Sampler.RENOISE.value: RectifiedFlow,
    Sampler.EDM_EULER.value: OfficialEdm,
    Sampler.EDM_EULER_DIFFUSERS.value: DiffusersEdm,
    Sampler.UNIPC_KARRAS.value: TruncatedVelocity,
    Sampler.UNIPC_SHIFTED.value: TruncatedVelocity,
    Sampler.UNIPC_DIFFUSERS.value: Velocity,
    Sampler.TRIGFLOW.value: TrigFlow,
}

__all__ = [
    "PREDICTIONS",
    "SIGMA_CONDITIONAL",
    "Edm",
    "Prediction",
    "RectifiedFlow",
    "TrigFlow",
    "TruncatedVelocity",
    "Velocity",
]
