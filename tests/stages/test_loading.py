"""Weights come to memory in many parts at a time, and are those of the files to the bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Barrier

import pytest
import torch
from diffusers import AutoencoderKLCosmos, AutoencoderKLWan, CosmosTransformer3DModel
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel

from orrery.engines.reading import parts_of, read_tensors
from orrery.engines.weights import load_module, load_pretrained, memory_of
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.stored import Stored, stored_in, weight_files
from stages.setting import TEXT_ENCODER, VIDEO_TOKENIZER, WORLD

CPU = torch.device("cpu")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


@pytest.fixture
def world(models_dir: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return Path(shutil.copytree(models_dir / WORLD, tmp_path / WORLD))


def sharded(folder: Path, shards: int) -> Path:
    """The same weights in several files, as diffusers names them, with its index."""
    state = state_of(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(state)
    where = {}
    for shard in range(shards):
        name = f"diffusion_pytorch_model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {key: state[key] for key in names[shard::shards]}
        save_file(part, folder / name, metadata={"format": "pt"})
        where |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": sum(t.nbytes for t in state.values())}, "weight_map": where}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    return folder


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        ours[key].dtype == theirs[key].dtype and torch.equal(ours[key], theirs[key]) for key in ours
    )


def test_one_file_and_many_load_to_what_diffusers_loads(models_dir: Path, world: Path) -> None:
    reference = CosmosTransformer3DModel.from_pretrained(models_dir / WORLD)
    assert same(load_module(CosmosTransformer3DModel, models_dir / WORLD, CPU), reference)
    several = sharded(world, 3)
    assert len(weight_files(several)) == 3
    assert same(load_module(CosmosTransformer3DModel, several, CPU), reference)
    assert same(CosmosTransformer3DModel.from_pretrained(several), reference), "the layout is diffusers' own"


def test_a_text_encoder_is_what_transformers_loads(models_dir: Path) -> None:
    ours = load_pretrained(T5EncoderModel, models_dir / TEXT_ENCODER, CPU)
    theirs = T5EncoderModel.from_pretrained(models_dir / TEXT_ENCODER)
    assert same(ours, theirs)
    assert ours.shared.weight is ours.encoder.embed_tokens.weight, "stored once, used twice"
    tokens = torch.arange(3, 40)[None]
    with torch.inference_mode():
        assert torch.equal(ours(tokens).last_hidden_state, theirs(tokens).last_hidden_state)


def test_tables_that_no_file_has_are_as_the_constructor_makes_them(tmp_path: Path) -> None:
    widths = {"encoder_block_out_channels": (8, 8, 8, 8), "decode_block_out_channels": (8, 8, 8, 8)}
    made = AutoencoderKLCosmos(latent_channels=4, **widths).eval()
    made.save_pretrained(tmp_path)
    loaded = load_module(AutoencoderKLCosmos, tmp_path, CPU)
    tables = dict(made.named_buffers())
    assert set(tables) > set(made.state_dict().keys() & tables.keys())
    assert all(torch.equal(tables[name], buffer) for name, buffer in loaded.named_buffers())


@pytest.mark.parametrize(("stored", "computed"), [(torch.float16, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_weights_come_in_the_type_that_is_computed_in(world: Path, stored: torch.dtype, computed: torch.dtype) -> None:
    state = {name: tensor.to(stored) for name, tensor in state_of(world / WEIGHTS).items()}
    save_file(state, world / WEIGHTS, metadata={"format": "pt"})
    loaded = load_module(CosmosTransformer3DModel, world, CPU)
    assert {parameter.dtype for parameter in loaded.parameters()} == {computed}
    assert all(torch.equal(loaded.state_dict()[name], tensor.to(computed)) for name, tensor in state.items())
    assert memory_of(world, CPU).total == sum(parameter.nbytes for parameter in loaded.parameters())
    assert memory_of(world, CPU).largest == sum(parameter.nbytes for parameter in loaded.transformer_blocks[0].parameters())
    assert memory_of(world, torch.device("cuda")).total == sum(tensor.nbytes for tensor in state.values())


def test_every_tensor_starts_where_torch_aligns_its_memory(models_dir: Path) -> None:
    """However the file lies: a header of an odd length moves all tensors in it."""
    loaded = load_module(AutoencoderKLWan, models_dir / VIDEO_TOKENIZER, CPU)
    assert {parameter.data_ptr() % 64 for parameter in loaded.parameters()} == {0}


def test_one_file_is_read_by_several_threads_at_a_time(tmp_path: Path) -> None:
    tensors = {f"w{index}": torch.full((256,), index, dtype=torch.float32) for index in range(4)}
    save_file(tensors, tmp_path / WEIGHTS)
    both, told = Barrier(2), list[tuple[int, int]]()

    def placed(tensor: torch.Tensor) -> torch.Tensor:
        both.wait(timeout=30)  # goes on when two have come
        return tensor.clone()

    found = read_tensors([tmp_path / WEIGHTS], placed, lambda done, total: told.append((done, total)), threads=2, limit=2048)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert told == [(2048, 4096), (4096, 4096)]


def test_parts_are_neighbours_up_to_their_limit() -> None:
    stored = [Stored(str(index), "F32", size) for index, size in enumerate((4, 4, 9, 2, 2, 2))]
    parts = list(parts_of(Path("any"), stored, limit=6))
    assert [[tensor.name for tensor in part.tensors] for part in parts] == [["0"], ["1"], ["2"], ["3", "4", "5"]]


def cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:-100])


def without_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\xff" * 64)


def lacking(folder: Path) -> None:
    state = state_of(folder / WEIGHTS)
    del state["proj_out.weight"]
    save_file(state, folder / WEIGHTS)


def with_a_stranger(folder: Path) -> None:
    save_file(state_of(folder / WEIGHTS) | {"stranger": torch.ones(1)}, folder / WEIGHTS)


def of_another_shape(folder: Path) -> None:
    save_file(state_of(folder / WEIGHTS) | {"proj_out.weight": torch.ones(3, 3)}, folder / WEIGHTS)


def twice(folder: Path) -> None:
    save_file({"proj_out.weight": torch.ones(1)}, folder / "z.safetensors")


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (cut, WEIGHTS),
        (without_header, f"{WEIGHTS}: no safetensors file"),
        (lacking, r"lacks proj_out\.weight"),
        (with_a_stranger, "has not: stranger"),
        (of_another_shape, r"proj_out\.weight"),
        (twice, rf"proj_out\.weight is in {WEIGHTS} and in z\.safetensors"),
        (without_config, r"config\.json"),
        (without_weights, r"lacks .* and more"),
    ],
)
def test_what_cannot_be_loaded_says_what_is_wrong(world: Path, broken: Callable[[Path], None], said: str) -> None:
    broken(world)
    with pytest.raises(ComponentUnusable, match=said):
        load_module(CosmosTransformer3DModel, world, CPU)


def test_the_header_tells_what_is_in_a_file(models_dir: Path) -> None:
    path = models_dir / WORLD / WEIGHTS
    state = state_of(path)
    assert {tensor.name: tensor.size for tensor in stored_in(path)} == {name: t.nbytes for name, t in state.items()}
