"""Noise and text to latents: the sampling loop."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from orrery.engines.bls import BlsEngine
from orrery.engines.eager import EagerEngine
from orrery.engines.engine import Engine
from orrery.stages.arrays import to_tensor
from orrery.stages.loading import ComponentCache, configure_torch
from orrery.stages.prediction import X0Predictor
from orrery.stages.samplers import make_sampler
from orrery.stages.stage import Call, EngineHost, StageSettings, Values
from orrery.worlds.catalog.models import Compression
from orrery.worlds.components import ComponentKind
from orrery.worlds.contracts import DENOISER, StageContract
from orrery.worlds.errors import InvalidField


class Denoiser:
    contract: ClassVar[StageContract] = DENOISER

    def __init__(self, settings: StageSettings):
        configure_torch(settings.threads)
        self._device = torch.device(settings.device)
        self._engines: ComponentCache[EagerEngine] | None = None
        if settings.transformer is EngineHost.IN_PROCESS:
            self._engines = ComponentCache(settings, ComponentKind.TRANSFORMER, EagerEngine)

    @torch.inference_mode()
    def run(self, values: Values, call: Call) -> Values:
        """See the contract. Reports each finished step; can be cancelled before each evaluation of the transformer."""
        sampler = make_sampler(values["sampler"], values["num_inference_steps"])
        predict_x0 = self._predictor(values, call)
        state = sampler.start(self._noise(values))
        while state.step < sampler.num_steps:
            state = sampler.advance(state, predict_x0)
            call.report(step=state.step, num_steps=sampler.num_steps)
        return {"latents": state.latents[0].float().cpu().numpy()}

    def _noise(self, values: Values) -> torch.Tensor:
        shape = (1, Compression().channels, *(int(length) for length in values["latent_shape"]))
        return official_noise(values["seed"], shape).to(self._device)

    def _predictor(self, values: Values, call: Call) -> X0Predictor:
        text = self._tensor(values, "text_embeddings")
        if text is None:
            raise InvalidField("the denoiser needs text", field="text_embeddings")
        return X0Predictor(
            engine=self._engine(values["component"], call),
            text=text,
            negative_text=self._tensor(values, "negative_text_embeddings"),
            guidance_scale=values["guidance_scale"],
            condition=self._tensor(values, "condition_latents"),
            rope_fps=values.get("rope_fps"),
            check_cancelled=call.check_cancelled,
        )

    def _engine(self, component: str, call: Call) -> Engine:
        if self._engines is None:
            return BlsEngine(call.infer, component, self._device)
        return self._engines[component]

    def _tensor(self, values: Values, name: str) -> torch.Tensor | None:
        """A batch of one, or None for an optional input that is absent."""
        return to_tensor(values[name], self._device)[None] if name in values else None


def official_noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Unit noise, FP32: the same for a seed on every machine (`arch_invariant_rand` of the official repositories)."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))
