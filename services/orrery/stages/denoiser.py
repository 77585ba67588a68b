"""Noise and text to latents: the sampling loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch

from orrery.engines.bls import BlsEngine
from orrery.engines.engine import Engine
from orrery.engines.pairing import PairedEngine
from orrery.stages.arrays import to_tensor
from orrery.stages.checkpoints import Cadence, identity, pack, unpack
from orrery.stages.loading import configure_torch
from orrery.stages.networks import Network, Networks
from orrery.stages.predictions import PREDICTIONS, Prediction
from orrery.stages.previews import Previews
from orrery.stages.samplers import Sampler, SamplerState, make_sampler
from orrery.stages.stage import YIELDED_VALUES, Call, EngineHost, Shortcut, StageSettings, Values
from orrery.worlds.catalog.models import Compression
from orrery.worlds.components import read_manifest
from orrery.worlds.contracts import DENOISER, LORA, LORA_SCALE, StageContract
from orrery.worlds.errors import InvalidField


class Denoiser:
    contract: ClassVar[StageContract] = DENOISER

    def __init__(self, settings: StageSettings, clock: Callable[[], float] = time.monotonic):
        configure_torch(settings.threads)
        self._models_dir = settings.models_dir
        self._clock = clock
        self._device = torch.device(settings.device)
        # The contract of a transformer that is a stage of its own has no batches.
        self._paired = settings.transformer is EngineHost.IN_PROCESS and Shortcut.BATCHED_GUIDANCE in settings.shortcuts
        self._networks = Networks(settings) if settings.transformer is EngineHost.IN_PROCESS else None

    @torch.inference_mode()
    def run(self, values: Values, call: Call) -> Values:
        """See the contract. Reports each finished step; can be cancelled before each evaluation of the transformer.

        The caller may ask it to yield before the first step, when there is nothing new to keep, and after each step but the
        last, with the report of which the checkpoint goes out.
        """
        sampler = make_sampler(values["sampler"], values["num_inference_steps"])
        with self._engine(values, call) as engine:
            return self._sampled(values, call, sampler, self._prediction(values, call, engine))

    def _sampled(self, values: Values, call: Call, sampler: Sampler, predict: Prediction) -> Values:
        state = self._first_state(values, sampler)
        cadence, previews = self._cadence(values, state.step), self._previews(values)
        yielding = call.wants_yield()
        while state.step < sampler.num_steps and not yielding:
            state = sampler.advance(predict.entering(state), predict)
            yielding = call.wants_yield()
            wanted = state.step < sampler.num_steps and (yielding or cadence.due(state.step))
            checkpoint = {"checkpoint": self._checkpoint(state, values)} if wanted else {}
            preview = previews.of(state.step, _shown(state, predict))
            call.report(step=state.step, num_steps=sampler.num_steps, **checkpoint, **preview)
            if wanted:
                cadence.taken(state.step)
        if state.step < sampler.num_steps:
            return YIELDED_VALUES
        return {"latents": (state.latents[0].float() / predict.data_deviation).cpu().numpy()}

    def _first_state(self, values: Values, sampler: Sampler) -> SamplerState:
        if "resume_from" in values:
            return unpack(values["resume_from"], self._identity(values), self._device)
        return sampler.start(self._noise(values))

    def _checkpoint(self, state: SamplerState, values: Values) -> Any:
        return pack(state, self._identity(values))

    def _identity(self, values: Values) -> bytes:
        return identity(self.contract, values, Network.of(values).fingerprint(self._models_dir))

    def _cadence(self, values: Values, step: int) -> Cadence:
        steps, seconds = values.get("checkpoint_every_steps", 0), values.get("checkpoint_every_seconds", 0.0)
        return Cadence(step=step, steps=steps, seconds=seconds, clock=self._clock)

    def _previews(self, values: Values) -> Previews:
        seconds = values.get("preview_every_seconds", 0.0)
        rgb = read_manifest(self._models_dir / values["component"]).latent_rgb if seconds else None
        return Previews(rgb, seconds=seconds, clock=self._clock)

    def _noise(self, values: Values) -> torch.Tensor:
        shape = (1, Compression().channels, *(int(length) for length in values["latent_shape"]))
        return official_noise(values["seed"], shape).to(self._device)

    def _prediction(self, values: Values, call: Call, engine: Engine) -> Prediction:
        text = self._tensor(values, "text_embeddings")
        if text is None:
            raise InvalidField("the denoiser needs text", field="text_embeddings")
        negative = self._tensor(values, "negative_text_embeddings")
        if self._paired and negative is not None:
            engine = PairedEngine(engine, text, negative)
        return PREDICTIONS[values["sampler"]](
            engine=engine,
            text=text,
            negative_text=negative,
            guidance_scale=values["guidance_scale"],
            condition=self._tensor(values, "condition_latents"),
            rope_fps=values.get("rope_fps"),
            check_cancelled=call.check_cancelled,
            noise=self._noise(values),
            conditional_timestep=values.get("conditional_timestep"),
            seed=values["seed"],
            num_inference_steps=values["num_inference_steps"],
        )

    def _engine(self, values: Values, call: Call) -> AbstractContextManager[Engine]:
        if self._networks is None:
            told = ("component", LORA.name, LORA_SCALE.name)
            return nullcontext(BlsEngine(call.infer, {name: values[name] for name in told if name in values}, self._device))
        return self._networks.use(Network.of(values))

    def _tensor(self, values: Values, name: str) -> torch.Tensor | None:
        """A batch of one, or None for an optional input that is absent."""
        return to_tensor(values[name], self._device)[None] if name in values else None


def _shown(state: SamplerState, predict: Prediction) -> torch.Tensor | None:
    """The newest estimate in the tokenizer's units, if there is one."""
    return None if state.previous_x0 is None else state.previous_x0 / predict.data_deviation


def official_noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Unit noise, FP32: the same for a seed on every machine (`arch_invariant_rand` of the official repositories)."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))
