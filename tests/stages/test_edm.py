"""Predict1's schedule and loop against arithmetic of their own and against diffusers' scheduler."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import EDMEulerScheduler
from PIL import Image

from orrery.stages import previews
from orrery.stages.denoiser import Denoiser, official_noise
from orrery.stages.predictions import PREDICTIONS
from orrery.stages.previews import picture_of
from orrery.stages.samplers import make_sampler
from orrery.stages.stage import StageSettings
from orrery.worlds.components import LatentRgb
from stages.setting import PlainCall

SHAPE = (1, 16, 4, 6, 6)
GIVEN = 2
SEED = 5
COUNTS = [1, 2, 3, 10, 35, 100]
CONVENTIONS = {"edm_euler": (0.0002, "zero"), "edm_euler_diffusers": (0.002, "sigma_min")}
"""What the official script and diffusers' converter pass to `EDMEulerScheduler`."""


def karras(count: int, lowest: float) -> list[float]:
    """Equation 5 of Karras et al. 2022 from 80 down, in Python's own floating point."""
    if count == 1:
        return [80.0]
    high, low = 80.0 ** (1 / 7), lowest ** (1 / 7)
    return [(high + i / (count - 1) * (low - high)) ** 7 for i in range(count)]


def levels_seen(name: str, count: int) -> list[float]:
    """The noise levels at which a sampler asks, and the last one to which it steps, from how far it goes."""
    seen: list[float] = []

    def predict(latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        seen.append(level.item())
        return torch.zeros_like(latents)

    sampler = make_sampler(name, count)
    state = sampler.start(torch.ones(SHAPE))
    for _ in range(sampler.num_steps):
        before = state.latents
        state = sampler.advance(state, predict)
    ratio = (state.latents / before).mean().item()  # towards zero: next level over level
    return [*seen, seen[-1] * ratio]


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("count", COUNTS)
def test_the_levels_are_those_of_the_scheduler_and_of_the_paper(name: str, count: int) -> None:
    lowest, ending = CONVENTIONS[name]
    ours, paper = levels_seen(name, count), karras(count, lowest)
    last = 0.0 if ending == "zero" else paper[-1]
    np.testing.assert_allclose(ours, [*paper, last], rtol=1e-6, atol=1e-9)
    scheduler = EDMEulerScheduler(sigma_min=lowest, sigma_max=80.0, sigma_data=0.5, final_sigmas_type=ending)
    scheduler.set_timesteps(count)
    assert torch.equal(torch.tensor(ours[:-1]), scheduler.sigmas[:-1])


def test_the_first_latents_of_each_convention() -> None:
    noise = official_noise(SEED, SHAPE)
    scheduler = EDMEulerScheduler(sigma_max=80.0)
    assert torch.equal(make_sampler("edm_euler", 4).start(noise).latents, noise * scheduler.init_noise_sigma)
    assert torch.equal(make_sampler("edm_euler_diffusers", 4).start(noise).latents, noise * 80.0)


class Network:
    """Some function of everything that a network is given; remembers what that was."""

    def __init__(self) -> None:
        self.calls: list[dict[str, np.ndarray]] = []

    def __call__(
        self, hidden: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor, mask: object, fps: object
    ) -> torch.Tensor:
        self.calls.append({"hidden": hidden.numpy().copy(), "timestep": timestep.numpy().copy()})
        return torch.from_numpy(answer(hidden.double().numpy(), timestep.item(), text.mean().item())).float()


def answer(hidden: np.ndarray, timestep: float, text: float) -> np.ndarray:
    return np.tanh(0.7 * hidden + 0.1 * np.roll(hidden, 1, axis=2)) + 0.2 * timestep + text


TEXTS = {"text": torch.full((1, 3, 4), 0.3), "negative_text": torch.full((1, 3, 4), -0.2)}
CONDITION = torch.randn((1, 16, GIVEN, 6, 6), generator=torch.Generator().manual_seed(1))


def sampled(
    name: str, count: int, *, condition: torch.Tensor | None = CONDITION, guidance: float = 3.0
) -> tuple[np.ndarray, Network]:
    noise, network, sampler = official_noise(SEED, SHAPE), Network(), make_sampler(name, count)
    predict = PREDICTIONS[name](
        engine=network,
        **(TEXTS if guidance else TEXTS | {"negative_text": None}),
        guidance_scale=guidance,
        condition=condition,
        rope_fps=24.0,
        check_cancelled=lambda: None,
        noise=noise,
        seed=SEED,
        num_inference_steps=count,
    )
    state = sampler.start(noise)
    for _ in range(count):
        state = sampler.advance(predict.entering(state), predict)
    return (state.latents[0] / predict.data_deviation).numpy(), network


def by_hand(count: int, condition: np.ndarray | None, guidance: float) -> np.ndarray:
    """The official loop (cosmos-predict1, `model_t2w.py`, `model_v2w.py`) written down once more, in FP64.

    Guidance is of the network's answers and the conditioning frames' answer is solved for, as there.
    """
    noise = np.random.RandomState(SEED).standard_normal(SHAPE).astype(np.float32).astype(np.float64)
    sigmas = [*karras(count, 0.0002), 0.0]
    x = noise * np.sqrt(80.0**2 + 1)
    for sigma, following in pairwise(sigmas):
        scale = 1 / np.sqrt(sigma**2 + 0.25)
        held = condition is not None and sigma > 0.001
        if held:
            augmented = (condition * 0.5 + noise[:, :, :GIVEN] * 0.001) / np.sqrt(0.001**2 + 0.25)
            x = np.concatenate([augmented / scale, x[:, :, GIVEN:]], axis=2)
        out, base = (answer(x * scale, 0.25 * np.log(sigma), text) for text in (0.3, -0.2))
        out = out + guidance * (out - base)
        skip, gain = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / np.sqrt(sigma**2 + 0.25)
        if held:
            out[:, :, :GIVEN] = (condition * 0.5 - skip * x[:, :, :GIVEN]) / gain
        x0 = skip * x + gain * out
        x = x + (x - x0) / sigma * (following - sigma)
    return x[0] / 0.5


@pytest.mark.parametrize("conditioned", [False, True])
@pytest.mark.parametrize("count", [1, 4, 35])
def test_official_numerics_are_the_official_loop(count: int, conditioned: bool) -> None:
    condition = CONDITION if conditioned else None
    ours, network = sampled("edm_euler", count, condition=condition)
    theirs = by_hand(count, None if condition is None else condition.double().numpy(), 3.0)
    assert np.abs(theirs).max() > 1
    np.testing.assert_allclose(ours, theirs, atol=2e-4)
    assert len(network.calls) == 2 * count


def test_conditioning_frames_are_shown_with_a_little_noise_and_come_out_as_they_were() -> None:
    """The network sees them alike at every level above that noise; under it they are denoised with the others."""
    official, network = sampled("edm_euler", 35)
    shown = np.stack([call["hidden"][0, :, :GIVEN] for call in network.calls])
    seen = (CONDITION[0] * 0.5 + official_noise(SEED, SHAPE)[0, :, :GIVEN] * 0.001) / np.sqrt(0.25 + 1e-6)
    held = 2 * sum(level > 0.001 for level in karras(35, 0.0002))
    assert held == 66
    np.testing.assert_allclose(shown[:held], np.broadcast_to(seen, shown[:held].shape), atol=1e-5)
    assert np.abs(shown[held:] - seen.numpy()).max() > 1e-4
    np.testing.assert_allclose(official[:, :GIVEN], CONDITION[0], atol=0.02)


@pytest.mark.parametrize("guidance", [0.0, 3.0])
def test_the_pipelines_noise_is_drawn_anew_for_each_evaluation(guidance: float) -> None:
    _, network = sampled("edm_euler_diffusers", 3, guidance=guidance)
    generator = torch.Generator().manual_seed(SEED)
    for call in network.calls:
        noise = torch.randn(SHAPE, generator=generator)[0, :, :GIVEN]
        seen = (CONDITION[0] * 0.5 + noise * 0.001) / np.sqrt(0.25 + 1e-6)
        np.testing.assert_allclose(call["hidden"][0, :, :GIVEN], seen, atol=1e-5)
    assert len(network.calls) == (6 if guidance else 3)


def test_the_network_is_told_the_noise_in_one_number() -> None:
    _, network = sampled("edm_euler", 4)
    told = [call["timestep"] for call in network.calls[::2]]
    assert {one.shape for one in told} == {(1,)}
    np.testing.assert_allclose(np.concatenate(told), 0.25 * np.log(karras(4, 0.0002)), rtol=1e-5)


def test_previews_show_latents_as_the_tokenizer_has_them(settings: StageSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step leads to the estimate itself: its preview is of the latents that come out."""
    shown: list[torch.Tensor] = []

    def kept(estimate: torch.Tensor, rgb: LatentRgb) -> Image.Image:
        shown.append(estimate)
        return picture_of(estimate, rgb)

    monkeypatch.setattr(previews, "picture_of", kept)
    seconds, call = iter(range(1000)), PlainCall({})
    values = {
        "component": "tiny-predict1-text2world",
        "latent_shape": np.array([3, 12, 12], np.int32),
        "seed": SEED,
        "num_inference_steps": 2,
        "guidance_scale": 0.0,
        "sampler": "edm_euler",
        "text_embeddings": np.full((4, 32), 0.1, np.float32),
        "preview_every_seconds": 0.5,
    }
    latents = Denoiser(settings, clock=lambda: float(next(seconds))).run(values, call)["latents"]
    assert ["preview" in report for report in call.reports] == [True, True]
    np.testing.assert_allclose(shown[-1][0], latents, atol=1e-4)
