"""Work that is left out changes nothing but its own cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from orrery.backend.settings import environment_of, settings_from
from orrery.engines.eager import EagerEngine
from orrery.engines.options import EXACT, Shortcut
from orrery.engines.pairing import PairedEngine
from orrery.stages.stage import StageSettings
from orrery.worker.settings import SHORTCUTS, StageEnvironment
from orrery.worlds.environment import from_environment
from stages.setting import IMAGE, WORLD, PlainCall, Stages

CPU = torch.device("cpu")
WIDTH, BLOCKS, TEXT, ADALN = 32, 2, 32, 8
FRAMES, TOKENS, WORDS = 3, 36, 24
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
"""FP32 products of other shapes: the same sums in another order."""


def inputs(seed: int = 0, frames: int = FRAMES) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros((1, 1, frames, 12, 12))
    mask[:, :, :1] = 1
    times = torch.full((1, 1, frames, 1, 1), 0.7)
    times[:, :, :1] = 0.1
    hidden = torch.randn((1, 16, frames, 12, 12), generator=generator)
    return {"hidden_states": hidden, "timestep": times, "condition_mask": mask, "rope_fps": None}


def text(seed: int) -> torch.Tensor:
    return torch.randn((1, WORDS, TEXT), generator=torch.Generator().manual_seed(seed))


def flops(run: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


@pytest.fixture(scope="module")
def plain(models_dir: Path) -> EagerEngine:
    return EagerEngine(models_dir / WORLD, CPU, ())


def test_texts_are_projected_once_and_to_the_same_bytes(models_dir: Path, plain: EagerEngine) -> None:
    engine, prompt, negative = EagerEngine(models_dir / WORLD, CPU), text(1), text(2)
    for step in range(3):
        for words in (prompt, negative):
            expected = plain(**inputs(step), encoder_hidden_states=words)
            assert torch.equal(engine(**inputs(step), encoder_hidden_states=words), expected)
    whole = flops(lambda: plain(**inputs(), encoder_hidden_states=prompt))
    again = flops(lambda: engine(**inputs(), encoder_hidden_states=prompt))
    assert whole - again == BLOCKS * 2 * (2 * WORDS * TEXT * WIDTH), "keys and values of each block"


def test_only_the_very_text_is_known_again(models_dir: Path, plain: EagerEngine) -> None:
    engine, prompt = EagerEngine(models_dir / WORLD, CPU), text(1)
    engine(**inputs(), encoder_hidden_states=prompt)
    whole = flops(lambda: plain(**inputs(), encoder_hidden_states=prompt))
    assert flops(lambda: engine(**inputs(), encoder_hidden_states=prompt.clone())) == whole
    engine.forget()
    assert flops(lambda: engine(**inputs(), encoder_hidden_states=prompt)) == whole


@pytest.mark.parametrize("frames", [1, FRAMES])
def test_noise_levels_are_told_to_each_frame_and_not_each_token(models_dir: Path, plain: EagerEngine, frames: int) -> None:
    engine, prompt = EagerEngine(models_dir / WORLD, CPU, (Shortcut.FRAME_ADALN,)), text(1)
    asked = inputs(frames=frames) | {"encoder_hidden_states": prompt}
    assert torch.allclose(engine(**asked), plain(**asked), **ROUNDING)
    saved = flops(lambda: plain(**asked)) - flops(lambda: engine(**asked))
    # Three layers of each block answer shift, scale and gate; the last one has no gate.
    once = BLOCKS * 3 * 2 * (WIDTH * ADALN + ADALN * 3 * WIDTH) + 2 * (WIDTH * ADALN + ADALN * 2 * WIDTH)
    assert saved == frames * (TOKENS - 1) * once


def test_one_noise_level_for_all_frames_is_as_it_was(models_dir: Path, plain: EagerEngine) -> None:
    engine = EagerEngine(models_dir / WORLD, CPU, (Shortcut.FRAME_ADALN,))
    asked = inputs() | {"encoder_hidden_states": text(1)}
    engine(**asked)
    asked["timestep"] = torch.tensor([0.4])
    assert torch.equal(engine(**asked), plain(**asked))


class Counted:
    """An engine that knows how large its batches were."""

    def __init__(self, engine: EagerEngine) -> None:
        self.engine = engine
        self.batches: list[int] = []

    def __call__(self, hidden_states: torch.Tensor, *args: Any) -> torch.Tensor:
        self.batches.append(len(hidden_states))
        return self.engine(hidden_states, *args)


def asked_of(engine: Any, words: torch.Tensor, **changed: Any) -> torch.Tensor:
    asked = inputs() | changed
    answer: torch.Tensor = engine(asked["hidden_states"], asked["timestep"], words, asked["condition_mask"], asked["rope_fps"])
    return answer


@pytest.mark.parametrize("changed", [{}, {"timestep": torch.tensor([0.4]), "condition_mask": torch.zeros((1, 1, 3, 12, 12))}])
def test_both_branches_are_evaluated_at_once(plain: EagerEngine, changed: dict[str, torch.Tensor]) -> None:
    prompt, negative, counted = text(1), text(2), Counted(plain)
    paired = PairedEngine(counted, prompt, negative)
    for words in (prompt, negative):
        assert torch.allclose(asked_of(paired, words, **changed), asked_of(plain, words, **changed), **ROUNDING)
    assert counted.batches == [2]


@pytest.mark.parametrize(
    "changed",
    [{"hidden_states": inputs(9)["hidden_states"]}, {"rope_fps": 16.0}, {"condition_mask": torch.zeros((1, 1, 3, 12, 12))}],
    ids=lambda changed: next(iter(changed)),
)
def test_a_branch_that_was_asked_otherwise_is_evaluated_by_itself(plain: EagerEngine, changed: dict[str, Any]) -> None:
    prompt, negative, counted = text(1), text(2), Counted(plain)
    paired = PairedEngine(counted, prompt, negative)
    asked_of(paired, prompt)
    assert torch.equal(asked_of(paired, negative, **changed), asked_of(plain, negative, **changed))
    assert counted.batches == [2, 1]


def latents(models_dir: Path, component: str, shortcuts: tuple[Shortcut, ...]) -> np.ndarray:
    stages = Stages(StageSettings(models_dir, threads=2, shortcuts=shortcuts))
    given = np.random.RandomState(1).standard_normal((16, 1, 12, 12)).astype(np.float32)
    asked: dict[str, Any] = {
        "component": component,
        "latent_shape": np.array([3 if component == WORLD else 1, 12, 12], np.int32),
        "seed": 1,
        "num_inference_steps": 4,
        "guidance_scale": 2.0,
        "sampler": "res_2ab",
        "text_embeddings": text(1)[0].numpy(),
        "negative_text_embeddings": text(2)[0].numpy(),
    }
    asked |= {"condition_latents": given} if component == WORLD else {}
    made: np.ndarray = stages["denoiser"].run(asked, PlainCall(stages))["latents"]
    return made


@pytest.mark.parametrize("component", [IMAGE, WORLD])
def test_a_whole_job_comes_out_the_same(models_dir: Path, component: str) -> None:
    expected = latents(models_dir, component, ())
    assert np.array_equal(latents(models_dir, component, EXACT), expected)
    assert np.allclose(latents(models_dir, component, tuple(Shortcut)), expected, rtol=1e-3, atol=1e-4)


def test_the_environment_names_them_strictly(models_dir: Path) -> None:
    told = {"ORRERY_REDIS_URL": "redis://x", "ORRERY_ARTIFACTS_URL": "file:///x", "ORRERY_RUN_DIR": "/x"}
    assert set(SHORTCUTS) == {shortcut.value for shortcut in Shortcut}
    assert from_environment(StageEnvironment, told).shortcuts == EXACT
    assert from_environment(StageEnvironment, told | {"ORRERY_SHORTCUTS": ""}).shortcuts == ()
    with pytest.raises(ValueError, match="skip_layers"):
        from_environment(StageEnvironment, told | {"ORRERY_SHORTCUTS": "skip_layers"})
    for chosen in ((), tuple(Shortcut)):
        settings = StageSettings(models_dir, threads=2, shortcuts=chosen)
        assert settings_from(environment_of(settings)) == settings
