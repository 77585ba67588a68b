"""Where weights are between jobs and while they are computed with, and what happens when they do not fit."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel
from diffusers.hooks import HookRegistry

from orrery.backend.settings import environment_of, settings_from
from orrery.client.stage import hold_to_device
from orrery.engines.weights import load_module, memory_of
from orrery.stages.loading import ComponentCache, Progress
from orrery.stages.stage import MemoryMode, StageSettings
from orrery.worker.settings import StageEnvironment
from orrery.worlds.components import ComponentKind, write_manifest
from orrery.worlds.environment import from_environment
from orrery.worlds.errors import ComponentUnusable, DeviceFull, StageBroken
from stages.setting import TEXT_ENCODER, VIDEO_TOKENIZER, WORLD, PlainCall, Stages, clip

CPU = torch.device("cpu")
OTHERS = [MemoryMode.CPU_OFFLOAD, MemoryMode.LAYERWISE]


def outputs(stages: Stages) -> list[np.ndarray]:
    """Of every stage that has weights, each from the one before."""
    call = PlainCall(stages)
    text = stages["text_encoder"].run({"component": TEXT_ENCODER, "prompt": "a red cube"}, call)["text_embeddings"]
    frames = {"frames": clip(5, 96, 96), "height": 96, "width": 96}
    given = stages["video_encoder"].run({"component": VIDEO_TOKENIZER, **frames}, call)["latents"]
    sampling: dict[str, Any] = {"seed": 1, "num_inference_steps": 2, "guidance_scale": 3.0, "sampler": "res_2ab"}
    inputs = {"text_embeddings": text, "negative_text_embeddings": text[::-1].copy(), "condition_latents": given}
    asked = {"component": WORLD, "latent_shape": np.array([3, 12, 12], np.int32), **sampling, **inputs}
    latents = stages["denoiser"].run(asked, call)["latents"]
    return [
        text,
        given,
        latents,
        stages["video_decoder"].run({"component": VIDEO_TOKENIZER, "latents": latents}, call)["frames"],
    ]


@pytest.fixture(scope="module")
def resident(stages: Stages) -> list[np.ndarray]:
    return outputs(stages)


@pytest.mark.parametrize("mode", OTHERS)
def test_every_mode_gives_the_same_bytes(mode: MemoryMode, models_dir: Path, resident: list[np.ndarray]) -> None:
    stages = Stages(StageSettings(models_dir, threads=2, memory=mode))
    for _ in range(2):
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(outputs(stages), resident, strict=True))


def cache_of(models_dir: Path, **settings: Any) -> ComponentCache[Any]:
    def load(folder: Path, device: torch.device) -> Any:
        return load_module(CosmosTransformer3DModel, folder, device)

    return ComponentCache(StageSettings(models_dir, threads=2, **settings), ComponentKind.TRANSFORMER, load)


def places(network: torch.nn.Module) -> list[int]:
    return [parameter.data_ptr() for parameter in network.parameters()]


def test_offloaded_weights_are_elsewhere_between_jobs(models_dir: Path) -> None:
    """The device of this test is the processor too, where a copy is told from the original by its place."""
    cache = cache_of(models_dir, memory=MemoryMode.CPU_OFFLOAD)
    with cache.use(WORLD) as network:
        while_used = places(network)
    at_rest = places(network)
    with cache.use(WORLD) as again:
        assert again is network
        assert not set(places(network)) & set(at_rest)
    assert places(network) == at_rest
    assert not set(while_used) & set(at_rest)


def test_a_job_that_fails_leaves_the_device_too(models_dir: Path) -> None:
    cache = cache_of(models_dir, memory=MemoryMode.CPU_OFFLOAD)
    with cache.use(WORLD) as network:
        pass
    at_rest = places(network)
    with pytest.raises(RuntimeError, match="in the middle"), cache.use(WORLD):
        raise RuntimeError("in the middle")
    assert places(network) == at_rest


def hooked(network: torch.nn.Module) -> set[str]:
    """The modules that come and go by themselves."""
    registries = {name: getattr(module, "_diffusers_hook", None) for name, module in network.named_modules()}
    return {n for n, one in registries.items() if isinstance(one, HookRegistry) and one.get_hook("group_offloading")}


def test_layers_come_and_go_by_blocks_where_there_are_blocks(models_dir: Path) -> None:
    with cache_of(models_dir, memory=MemoryMode.LAYERWISE).use(WORLD) as network:
        assert hooked(network) == {"", "transformer_blocks.0", "transformer_blocks.1"}
    settings = StageSettings(models_dir, threads=2, memory=MemoryMode.LAYERWISE)
    tokenizers = ComponentCache(settings, ComponentKind.VIDEO_TOKENIZER, lambda f, d: load_module(AutoencoderKLWan, f, d))
    with tokenizers.use(VIDEO_TOKENIZER) as tokenizer:
        assert {"encoder", "decoder", "decoder.up_blocks.0", "post_quant_conv"} <= hooked(tokenizer)


@pytest.fixture(scope="module")
def three(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One network under three names."""
    folder = tmp_path_factory.mktemp("three")
    for name in "abc":
        shutil.copytree(models_dir / WORLD, folder / name)
        write_manifest(folder / name, ComponentKind.TRANSFORMER)
    return folder


class Loads:
    """Knows what was loaded."""

    def __init__(self, models_dir: Path, **settings: Any) -> None:
        self.names: list[str] = []
        self.cache = ComponentCache(StageSettings(models_dir, threads=2, **settings), ComponentKind.TRANSFORMER, self._load)

    def _load(self, folder: Path, _device: torch.device) -> str:
        self.names.append(folder.name)
        return folder.name

    def use(self, *names: str) -> None:
        for name in names:
            with self.cache.use(name) as component:
                assert component == name


def test_the_least_recently_used_goes_first(three: Path) -> None:
    size = memory_of(three / "a", CPU).total
    loads = Loads(three, device_bytes=2 * size)
    loads.use("a", "b", "a", "c")
    assert loads.names == ["a", "b", "c"]
    loads.use("a", "c")
    assert loads.names == ["a", "b", "c"], "b had to go"
    loads.use("b")
    assert loads.names == ["a", "b", "c", "b"]
    loads.use("c", "b")
    assert loads.names == ["a", "b", "c", "b"], "then a had to go"


def test_without_a_bound_nothing_goes(three: Path) -> None:
    loads = Loads(three)
    loads.use(*"abcabc")
    assert loads.names == ["a", "b", "c"]


@pytest.mark.parametrize("mode", [MemoryMode.RESIDENT, MemoryMode.CPU_OFFLOAD])
def test_what_cannot_fit_is_refused_with_the_numbers_and_not_loaded(three: Path, mode: MemoryMode) -> None:
    size = memory_of(three / "a", CPU).total
    loads = Loads(three, device_bytes=size - 1, memory=mode)
    with pytest.raises(DeviceFull, match=f"a needs {size} bytes") as refused:
        loads.use("a")
    assert refused.value.evidence == [{"needed": size, "budget": size - 1, "resident": {}}]
    assert loads.names == []


def test_what_is_in_use_is_not_given_up(three: Path) -> None:
    size = memory_of(three / "a", CPU).total
    loads = Loads(three, device_bytes=2 * size - 1)
    with loads.cache.use("a"), pytest.raises(DeviceFull, match=f"a {size}") as refused, loads.cache.use("b"):
        pass
    assert refused.value.evidence == [{"needed": size, "budget": 2 * size - 1, "resident": {"a": size}}]
    loads.use("b", "b")
    assert loads.names == ["a", "b"]


def test_one_that_could_not_be_loaded_takes_no_room(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three, tmp_path / "models")
    (tmp_path / "models" / "b" / "config.json").write_text("{}")
    loads = Loads(tmp_path / "models", device_bytes=memory_of(three / "a", CPU).total)
    loads.use("a")
    with pytest.raises(ComponentUnusable, match="config"):
        loads.use("b")
    loads.use("c", "c")
    assert loads.names[-1] == "c"
    assert loads.names.count("c") == 1


def test_layer_by_layer_the_weights_may_be_larger_than_the_room(three: Path) -> None:
    memory = memory_of(three / "a", CPU)
    Loads(three, device_bytes=2 * memory.largest, memory=MemoryMode.LAYERWISE).use("a")
    with pytest.raises(DeviceFull):
        Loads(three, device_bytes=2 * memory.largest - 1, memory=MemoryMode.LAYERWISE).use("a")


def test_what_is_preloaded_must_each_fit_and_the_rest_comes_when_it_is_asked_for(three: Path) -> None:
    size = memory_of(three / "a", CPU).total
    loads = Loads(three, device_bytes=2 * size, preload=("a", "b", "c"))
    assert loads.names == ["a", "b"]
    loads.use("c")
    assert loads.names == ["a", "b", "c"]
    with pytest.raises(DeviceFull):
        Loads(three, device_bytes=size - 1, preload=("a", "b", "c"))


def test_a_device_that_runs_out_all_the_same_is_no_crash(three: Path) -> None:
    loads = Loads(three)
    with pytest.raises(DeviceFull, match="CUDA out of memory") as told, loads.cache.use("a"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
    size = memory_of(three / "a", CPU).total
    assert told.value.evidence == [{"needed": size, "budget": None, "resident": {"a": size}}]


def test_a_device_that_is_lost_breaks_the_stage(three: Path) -> None:
    loads = Loads(three)
    with (
        pytest.raises(StageBroken, match="a: the device is lost to this process"),
        loads.cache.use("a"),
    ):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with")


ENVIRONMENT = {"ORRERY_REDIS_URL": "redis://x", "ORRERY_ARTIFACTS_URL": "file:///x", "ORRERY_RUN_DIR": "/x"}


def test_a_stage_process_refuses_before_it_starts_anything(three: Path) -> None:
    size = memory_of(three / "a", CPU).total
    told = {**ENVIRONMENT, "ORRERY_MODELS_DIR": str(three), "ORRERY_DEVICE_BYTES": str(size - 1)}
    with pytest.raises(DeviceFull, match=f"a needs {size} bytes"):
        hold_to_device(from_environment(StageEnvironment, told))
    hold_to_device(from_environment(StageEnvironment, told | {"ORRERY_DEVICE_BYTES": str(size)}))
    hold_to_device(from_environment(StageEnvironment, told | {"ORRERY_MEMORY": "layerwise"}))
    hold_to_device(from_environment(StageEnvironment, told | {"ORRERY_STAGES": "text_encoder"}))
    hold_to_device(from_environment(StageEnvironment, told | {"ORRERY_COMPONENTS": "none-of-them"}))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ORRERY_MEMORY": "somewhere"}, "memory"),
        ({"ORRERY_DEVICE_BYTES": "0"}, "device_bytes"),
        ({"ORRERY_DEVICE_BYTES": "24GB"}, "device_bytes"),
        ({"ORRERY_MEMORY": "cpu_offload", "ORRERY_TRANSFORMER": "bls"}, "for every step"),
    ],
)
def test_the_environment_is_read_strictly(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_environment(StageEnvironment, ENVIRONMENT | variables)


def test_settings_reach_the_stages(models_dir: Path) -> None:
    settings = StageSettings(models_dir, threads=2, memory=MemoryMode.LAYERWISE, device_bytes=24 << 30)
    assert settings_from(environment_of(settings)) == settings
    assert settings_from({"ORRERY_MODELS_DIR": str(models_dir)}).memory is MemoryMode.RESIDENT


def test_a_long_load_is_told_of_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    progress = Progress("t5-11b", clock=lambda: next(now), every=5.0)
    with caplog.at_level(logging.INFO, logger="orrery.stage"):
        for done in (1, 2, 3, 4):
            progress(done * 10**9, 4 * 10**9)
    assert caplog.messages == ["t5-11b: 2.00 of 4.00 GB loaded", "t5-11b: 4.00 of 4.00 GB loaded"]
