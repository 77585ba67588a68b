"""A LoRA changes what a network computes exactly as PEFT does, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from orrery.engines.eager import EagerEngine
from orrery.engines.lora import Lora
from orrery.stages.networks import Network, Networks
from orrery.stages.stage import EngineHost, MemoryMode, StageSettings
from orrery.worlds.components import ComponentKind, write_manifest
from orrery.worlds.errors import CheckpointRefused, ComponentUnusable, DeviceFull
from stages.loras.asked import ANSWERS, DIFFUSERS, HERE, PEFT, inputs
from stages.setting import WORLD, PlainCall, Stages

CPU = torch.device("cpu")
NAME = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def models(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny components and a LoRA in either format."""
    folder = tmp_path_factory.mktemp("styled")
    shutil.copytree(models_dir, folder, dirs_exist_ok=True)
    for name in (DIFFUSERS, PEFT):
        shutil.copytree(HERE / name, folder / name)
        write_manifest(folder / name, ComponentKind.LORA)
    return folder


def by_the_engine(models: Path, lora: str, scale: float) -> torch.Tensor:
    with Networks(StageSettings(models, threads=2)).use(Network(WORLD, lora, scale)) as engine:
        return engine(**inputs(), rope_fps=None)


@pytest.mark.parametrize(("name", "scale"), [(DIFFUSERS, 1.0), (DIFFUSERS, 0.3), (PEFT, 1.0)])
def test_it_computes_what_diffusers_and_peft_compute(models: Path, name: str, scale: float) -> None:
    """What they computed lies beside the LoRAs that they wrote; `loras/make.py` did it, on another processor maybe."""
    expected = load_file(ANSWERS)[f"{name} {scale}"]
    assert torch.allclose(by_the_engine(models, name, scale), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(by_the_engine(models, name, scale * 1.01), expected, rtol=1e-4, atol=1e-5)


def asked(**more: Any) -> dict[str, Any]:
    text = np.random.RandomState(0).standard_normal((24, 32)).astype(np.float32)
    shape = np.array([2, 12, 12], np.int32)
    sampling = {"seed": 1, "num_inference_steps": 3, "guidance_scale": 2.0, "sampler": "res_2ab"}
    given = np.random.RandomState(1).standard_normal((16, 1, 12, 12)).astype(np.float32)
    texts = {"text_embeddings": text, "negative_text_embeddings": -text}
    return {"component": WORLD, "latent_shape": shape, **sampling, **texts, "condition_latents": given, **more}


def latents(stages: Stages, **more: Any) -> np.ndarray:
    made: np.ndarray = stages["denoiser"].run(asked(**more), PlainCall(stages))["latents"]
    return made


@pytest.fixture(scope="module")
def resident(models: Path) -> Stages:
    return Stages(StageSettings(models, threads=2))


def test_the_base_is_the_base_again_to_the_bit(models: Path, resident: Stages) -> None:
    before = latents(resident)
    styled, other = latents(resident, lora=DIFFUSERS), latents(resident, lora=PEFT)
    assert np.array_equal(latents(resident), before)
    assert np.array_equal(latents(resident, lora=DIFFUSERS), styled)
    assert not np.array_equal(styled, before)
    assert not np.array_equal(styled, other)
    assert np.array_equal(latents(resident, lora=DIFFUSERS, lora_scale=1.0), styled)
    assert not np.array_equal(latents(resident, lora=DIFFUSERS, lora_scale=0.5), styled)
    assert np.array_equal(latents(resident, lora=DIFFUSERS, lora_scale=0.0), before)


def test_no_weight_is_written_to(models: Path) -> None:
    networks = Networks(StageSettings(models, threads=2))
    with networks.use(Network(WORLD, None, 1.0)) as engine:
        places = {name: tensor.data_ptr() for name, tensor in engine.network.named_parameters()}
        bytes_before = {name: tensor.clone() for name, tensor in engine.network.named_parameters()}
    with pytest.raises(RuntimeError, match="in the middle"), networks.use(Network(WORLD, PEFT, 1.0)):
        raise RuntimeError("in the middle")
    with networks.use(Network(WORLD, None, 1.0)) as again:
        assert again is engine, "it was not loaded anew"
        assert {name: tensor.data_ptr() for name, tensor in again.network.named_parameters()} == places
        assert all(torch.equal(bytes_before[name], tensor) for name, tensor in again.network.named_parameters())
        assert not any(module._forward_hooks for module in again.network.modules())


@pytest.mark.parametrize(
    "settings", [{"transformer": EngineHost.BLS}, {"memory": MemoryMode.CPU_OFFLOAD}, {"memory": MemoryMode.LAYERWISE}]
)
def test_the_bytes_are_the_same_wherever_the_network_is(models: Path, resident: Stages, settings: dict[str, Any]) -> None:
    stages = Stages(StageSettings(models, threads=2, **settings))
    for more in ({"lora": DIFFUSERS, "lora_scale": 0.7}, {}):
        assert np.array_equal(latents(stages, **more), latents(resident, **more))


def test_a_checkpoint_goes_on_under_the_same_lora_and_no_other(models: Path, resident: Stages) -> None:
    call = PlainCall(resident, yields_after=1)
    resident["denoiser"].run(asked(lora=PEFT), call)
    (checkpoint,) = call.checkpoints.values()
    assert np.array_equal(latents(resident, lora=PEFT, resume_from=checkpoint), latents(resident, lora=PEFT))
    for more in ({"lora": DIFFUSERS}, {"lora": PEFT, "lora_scale": 0.5}, {}):
        with pytest.raises(CheckpointRefused):
            latents(resident, resume_from=checkpoint, **more)


def test_a_checkpoint_knows_the_files_of_a_lora_and_not_its_name_alone(models: Path, resident: Stages, tmp_path: Path) -> None:
    call = PlainCall(resident, yields_after=1)
    resident["denoiser"].run(asked(lora=PEFT), call)
    (checkpoint,) = call.checkpoints.values()
    changed = tmp_path / "models"
    shutil.copytree(models, changed)
    weights = changed / PEFT / "adapter_model.safetensors"
    save_file({name: -matrix for name, matrix in load_file(weights).items()}, weights)
    write_manifest(changed / PEFT, ComponentKind.LORA)
    with pytest.raises(CheckpointRefused):
        latents(Stages(StageSettings(changed, threads=2)), lora=PEFT, resume_from=checkpoint)


@pytest.mark.parametrize(("name", "said"), [("absent", "no component"), (WORLD, "a transformer, not a lora"), ("../x", "no")])
def test_what_is_no_lora_is_refused(resident: Stages, name: str, said: str) -> None:
    with pytest.raises(ComponentUnusable, match=said):
        latents(resident, lora=name)


def test_a_lora_takes_room_beside_its_network(models: Path) -> None:
    size = sum(parameter.nbytes for parameter in EagerEngine(models / WORLD, CPU).network.parameters())
    with (
        pytest.raises(DeviceFull, match=f"{WORLD} {size}") as full,
        Networks(StageSettings(models, threads=2, device_bytes=size)).use(Network(WORLD, PEFT, 1.0)),
    ):
        pass
    weights = load_file(models / PEFT / "adapter_model.safetensors")
    needed = sum(matrix.nbytes for matrix in weights.values())
    assert full.value.evidence == [{"needed": needed, "budget": size, "resident": {WORLD: size}}]


def with_another_width(layers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: matrix[:, :-1] if "lora_A" in name else matrix for name, matrix in layers.items()}


def with_a_stranger(layers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return layers | {"transformer.transformer_blocks.0.attn1.to_q.lora_magnitude_vector": torch.ones(4)}


def one_sided(layers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: matrix for name, matrix in layers.items() if "blocks.1.attn2.to_v.lora_A" not in name}


def of_two_ranks(layers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: matrix[:-1] if "blocks.1.attn2.to_v.lora_A" in name else matrix for name, matrix in layers.items()}


def of_deeper_networks(layers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.replace("blocks.1.", "blocks.7."): matrix for name, matrix in layers.items()}


def of_no_linear_layer(layers: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.replace("attn2.to_v.", "attn2."): m for name, m in layers.items() if "blocks.1.attn2.to_v" in name}


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (with_another_width, r"is \[32, 32\], not \[32, 31\]"),
        (with_a_stranger, "lora_magnitude_vector is no matrix"),
        (one_sided, "attn2.to_v wants two matrices"),
        (of_two_ranks, "of one rank"),
        (of_deeper_networks, "no linear layer transformer_blocks.7"),
        (of_no_linear_layer, "no linear layer transformer_blocks.1.attn2$"),
    ],
)
def test_one_that_does_not_fit_changes_nothing(
    models: Path, tmp_path: Path, spoilt: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], said: str
) -> None:
    layers = {name: matrix.contiguous() for name, matrix in spoilt(load_file(models / DIFFUSERS / NAME)).items()}
    save_file({name: matrix.contiguous() for name, matrix in layers.items()}, tmp_path / NAME)
    network = EagerEngine(models / WORLD, CPU).network
    with pytest.raises(ComponentUnusable, match=said), Lora(tmp_path, CPU).applied(network, 1.0):
        pass
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "this folder 0"),
        ({NAME: None, "adapter_model.safetensors": None}, "this folder 2"),
        ({"adapter_model.safetensors": None, "adapter_config.json": "{"}, "no JSON"),
        ({"adapter_model.safetensors": None, "adapter_config.json": json.dumps({"peft_type": "LOHA"})}, "not that of a LoRA"),
        ({NAME: "no weights"}, "no safetensors file"),
    ],
)
def test_a_folder_that_is_no_lora_says_why(models: Path, tmp_path: Path, files: dict[str, str | None], said: str) -> None:
    for name, text in files.items():
        shutil.copyfile(models / DIFFUSERS / NAME, tmp_path / name)
        if text is not None:
            (tmp_path / name).write_text(text)
    with pytest.raises(ComponentUnusable, match=said):
        Lora(tmp_path, CPU)
