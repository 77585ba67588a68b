"""Samplers: from noise to latents, given what a network predicts. By the names that requests use."""

from __future__ import annotations

from collections.abc import Callable

from orrery.stages.samplers.euler import diffusers_euler, edm_euler
from orrery.stages.samplers.renoise import Renoise
from orrery.stages.samplers.res_2ab import Res2AB
from orrery.stages.samplers.sampler import Predict, PredictX0, Sampler, SamplerState
from orrery.stages.samplers.trigflow import TrigFlow
from orrery.stages.samplers.unipc import UniPC, karras_levels, shifted_levels
from orrery.worlds.catalog import models
from orrery.worlds.errors import InvalidField

SAMPLERS: dict[str, Callable[[int], Sampler]] = {
    models.Sampler.RES_2AB.value: Res2AB,
    models.Sampler.EULER.value: diffusers_euler,
    models.Sampler.RENOISE.value: Renoise,
    models.Sampler.EDM_EULER.value: edm_euler,
    models.Sampler.EDM_EULER_DIFFUSERS.value: diffusers_euler,
    # Official code evaluates once more than it is asked for; the pipeline of diffusers does not.
    models.Sampler.UNIPC_KARRAS.value: lambda num_inference_steps: UniPC(karras_levels(num_inference_steps + 1)),
    models.Sampler.UNIPC_SHIFTED.value: lambda num_inference_steps: UniPC(shifted_levels(num_inference_steps)),
    models.Sampler.UNIPC_DIFFUSERS.value: lambda num_inference_steps: UniPC(karras_levels(num_inference_steps)),
    models.Sampler.TRIGFLOW.value: TrigFlow,
}

__all__ = ["SAMPLERS", "Predict", "PredictX0", "Sampler", "SamplerState", "make_sampler"]


def make_sampler(name: str, num_inference_steps: int) -> Sampler:
    """Raises `InvalidField` for a name that is not known or fewer than one step."""
    if name not in SAMPLERS:
        raise InvalidField(f"there is no sampler {name!r}", field="sampler", allowed=sorted(SAMPLERS))
    if num_inference_steps < 1:
        raise InvalidField("sampling needs a step", field="num_inference_steps", allowed="1 or more")
    return SAMPLERS[name](num_inference_steps)
