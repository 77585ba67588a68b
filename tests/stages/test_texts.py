"""What is loaded of a text encoder and of a projection, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import CosmosTransformer3DModel
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLTextModel

from orrery.engines.eager import EagerEngine
from orrery.engines.weights import load_module, memory_of
from orrery.stages.stage import StageSettings
from orrery.stages.texts import Projection, Qwen, load_text_model
from orrery.stages.texts.projection import projection_name
from orrery.stages.texts.qwen import language_name
from orrery.worlds.components import ComponentKind, write_manifest
from orrery.worlds.errors import ComponentUnusable, DeviceFull
from stages.setting import TEXT_ENCODER, WORLD, PlainCall, Stages

QWEN, BASE = "tiny-qwen", "tiny-predict25-base"
CPU = torch.device("cpu")
PROMPT = "A robot arm welds the door of a red car"


def changed(models_dir: Path, name: str, folder: Path, file: str, tensors: dict[str, torch.Tensor]) -> Path:
    """A copy of the component with other tensors."""
    shutil.copytree(models_dir / name, folder / name)
    save_file(tensors, folder / name / file, metadata={"format": "pt"})
    return folder / name


def test_of_qwen_the_language_model_is_loaded_and_nothing_else(models_dir: Path) -> None:
    stored = load_file(models_dir / QWEN / "model.safetensors")
    assert any(name.startswith("visual.") for name in stored)
    assert "lm_head.weight" in stored
    with torch.device("meta"):
        alone = Qwen2_5_VLTextModel(Qwen2_5_VLConfig.from_pretrained(models_dir / QWEN).text_config)
    assert {name for stored_name in stored if (name := language_name(stored_name))} == set(alone.state_dict())
    counted = memory_of(models_dir / QWEN, CPU, language_name).total
    assert counted == sum(parameter.nbytes for parameter in alone.parameters()) < memory_of(models_dir / QWEN, CPU).total


@pytest.mark.parametrize("prefix", ["model.language_model.", "language_model.model."])
def test_names_of_every_version_of_transformers_are_known(prefix: str, models_dir: Path, tmp_path: Path) -> None:
    stored = load_file(models_dir / QWEN / "model.safetensors")
    renamed = {
        name.replace("model.", prefix, 1) if name.startswith("model.") else f"model.{name}": t for name, t in stored.items()
    }
    renamed["lm_head.weight"] = renamed.pop("model.lm_head.weight")
    folder = changed(models_dir, QWEN, tmp_path, "model.safetensors", renamed)
    assert torch.equal(Qwen(folder, CPU).encode(PROMPT), Qwen(models_dir / QWEN, CPU).encode(PROMPT))


def test_a_tensor_that_is_missing_is_named(models_dir: Path, tmp_path: Path) -> None:
    stored = load_file(models_dir / QWEN / "model.safetensors")
    del stored["model.layers.1.mlp.up_proj.weight"]
    folder = changed(models_dir, QWEN, tmp_path, "model.safetensors", stored)
    with pytest.raises(ComponentUnusable, match=r"lacks layers\.1\.mlp\.up_proj\.weight"):
        Qwen(folder, CPU)


@pytest.mark.parametrize(
    ("config", "said"),
    [('{"model_type": "bert"}', "of type 'bert'"), ("{}", "no usable"), ("[1", "no usable"), ("3", "no usable")],
)
def test_an_encoder_of_no_known_kind_is_refused(config: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ComponentUnusable, match=said):
        load_text_model(tmp_path, CPU)


def test_a_transformer_that_projects_nothing_is_no_projection(models_dir: Path, stages: Stages) -> None:
    with pytest.raises(ComponentUnusable, match="projects no text"):
        Projection(models_dir / WORLD, CPU)
    for name, said in ((WORLD, "projects no text"), (TEXT_ENCODER, "not a transformer"), ("absent", "no component")):
        values = {"component": QWEN, "prompt": PROMPT, "projection": name}
        with pytest.raises(ComponentUnusable, match=said):
            stages["text_encoder"].run(values, PlainCall(stages))


def test_the_engine_leaves_the_projection_out(models_dir: Path) -> None:
    names = set(EagerEngine(models_dir / BASE, CPU).network.state_dict())
    stored = set(load_file(models_dir / BASE / "diffusion_pytorch_model.safetensors"))
    assert stored - names == {"crossattn_proj.0.weight", "crossattn_proj.0.bias"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_projected_outside_the_network_computes_the_same_bits(dtype: torch.dtype, models_dir: Path, tmp_path: Path) -> None:
    """The network as it was released, which projects at every step, against what is served in its place.

    Times are told in FP32, as the pipeline and official code do: 0.7 is another number in bfloat16.
    """
    stored = load_file(models_dir / BASE / "diffusion_pytorch_model.safetensors")
    weights = {name: tensor.to(dtype) for name, tensor in stored.items()}
    folder = changed(models_dir, BASE, tmp_path, "diffusion_pytorch_model.safetensors", weights)
    whole = load_module(CosmosTransformer3DModel, folder, CPU)
    whole.register_to_config(concat_padding_mask=False)
    states = Qwen(models_dir / QWEN, CPU).encode(PROMPT)
    latents = torch.randn(1, 16, 2, 12, 12, generator=torch.Generator().manual_seed(4))
    timestep, mask = torch.full((1, 1, 2, 1, 1), 0.7), torch.zeros(1, 1, 2, 12, 12)
    with torch.inference_mode():
        theirs = whole(
            hidden_states=latents.to(dtype),
            timestep=timestep,
            encoder_hidden_states=states[None].to(dtype),
            condition_mask=torch.cat([mask, mask], dim=1).to(dtype),
            return_dict=False,
        )[0]
        ours = EagerEngine(folder, CPU)(latents, timestep, Projection(folder, CPU)(states)[None], mask, None)
    assert torch.equal(ours, theirs.float())


def test_only_the_projection_of_a_transformer_counts_against_the_device(settings: StageSettings, models_dir: Path) -> None:
    encoder = memory_of(models_dir / QWEN, CPU, language_name).total
    projection = memory_of(models_dir / BASE, CPU, projection_name).total
    values = {"component": QWEN, "prompt": PROMPT, "projection": BASE}
    assert projection < memory_of(models_dir / BASE, CPU).total / 10
    enough = Stages(replace(settings, device_bytes=encoder + projection))
    assert enough["text_encoder"].run(values, PlainCall(enough))["text_embeddings"].shape == (512, 32)
    short = Stages(replace(settings, device_bytes=encoder - 1))
    with pytest.raises(DeviceFull):
        short["text_encoder"].run(values, PlainCall(short))


def test_a_projection_of_changed_files_is_refused(settings: StageSettings, models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir / QWEN, tmp_path / QWEN)
    folder = tmp_path / BASE
    shutil.copytree(models_dir / BASE, folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    stages = Stages(replace(settings, models_dir=tmp_path))
    values = {"component": QWEN, "prompt": PROMPT, "projection": BASE}
    with pytest.raises(ComponentUnusable, match="has changed"):
        stages["text_encoder"].run(values, PlainCall(stages))
    write_manifest(folder, ComponentKind.TRANSFORMER)
    assert json.loads((folder / "component.json").read_text())["kind"] == "transformer"
    assert stages["text_encoder"].run(values, PlainCall(stages))["text_embeddings"].shape == (512, 32)
