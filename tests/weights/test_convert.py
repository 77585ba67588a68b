"""`orrery models convert`: files as they were released become components, and nothing else does."""

from __future__ import annotations

import io
import json
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import CosmosTransformer3DModel
from typer.testing import CliRunner

from orrery.client import cli
from orrery.engines.weights import load_module
from orrery.weights.converting import convert
from orrery.weights.errors import CheckpointUnknown, NoSpace
from orrery.weights.manifests import describe
from orrery.weights.released import VARIANTS, Variant, predict2
from orrery.worlds.components import ComponentKind, verify
from orrery.worlds.errors import ComponentUnusable

TINY = Variant(
    generation=predict2.GENERATION,
    name="Tiny Video2World",
    heads=2,
    head_width=16,
    layers=2,
    in_channels=17,
    rope_scale=(1.0, 3.0, 3.0),
    text_width=32,
    adaln_width=8,
    mlp_ratio=2.0,
)
OTHER = TINY.model_copy(update={"name": "Tiny Text2Image", "in_channels": 16})
TABLE = {"tiny-world": TINY, "tiny-image": OTHER}

RELEASED = {
    "patch_embed.proj.weight": "x_embedder.proj.1.weight",
    "time_embed.t_embedder.linear_1.weight": "t_embedder.1.linear_1.weight",
    "time_embed.t_embedder.linear_2.weight": "t_embedder.1.linear_2.weight",
    "time_embed.norm.weight": "t_embedding_norm.weight",
    "norm_out.linear_1.weight": "final_layer.adaln_modulation.1.weight",
    "norm_out.linear_2.weight": "final_layer.adaln_modulation.2.weight",
    "proj_out.weight": "final_layer.linear.weight",
}
IN_BLOCK = {
    "norm1.linear_1": "adaln_modulation_self_attn.1",
    "norm1.linear_2": "adaln_modulation_self_attn.2",
    "norm2.linear_1": "adaln_modulation_cross_attn.1",
    "norm2.linear_2": "adaln_modulation_cross_attn.2",
    "norm3.linear_1": "adaln_modulation_mlp.1",
    "norm3.linear_2": "adaln_modulation_mlp.2",
    "ff.net.0.proj": "mlp.layer1",
    "ff.net.2": "mlp.layer2",
} | {
    f"{ours}.{part}": f"{theirs}.{name}"
    for ours, theirs in {"attn1": "self_attn", "attn2": "cross_attn"}.items()
    for part, name in {
        "to_q": "q_proj",
        "to_k": "k_proj",
        "to_v": "v_proj",
        "to_out.0": "output_proj",
        "norm_q": "q_norm",
        "norm_k": "k_norm",
    }.items()
}
"""The released name of every tensor of diffusers' network, written out the other way round."""


def released_name(name: str) -> str:
    if name in RELEASED:
        return RELEASED[name]
    _, index, rest = name.split(".", 2)
    return f"blocks.{index}.{IN_BLOCK[rest.removesuffix('.weight')]}.weight"


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(7)
    network = CosmosTransformer3DModel(**TINY.config).eval()
    return network.to(torch.bfloat16)


@pytest.fixture
def state(network: Any) -> dict[str, Any]:
    """As the released files are: prefixed, with what is no weight beside it."""
    weights = {f"net.{released_name(name)}": tensor for name, tensor in network.state_dict().items()}
    beside = {
        "net.pos_embedder.seq": torch.arange(240.0),
        "net.pos_embedder.dim_spatial_range": torch.arange(2.0),
        "net.pos_embedder.dim_temporal_range": torch.arange(2.0),
        "net.blocks.0.self_attn.attn_op._extra_state": io.BytesIO(b"of another library"),
        "net.accum_iteration": torch.tensor(3),
        "net.logvar.0.freqs": torch.ones(4),
    }
    return weights | beside


def made(state: Any, folder: Path, name: str = "tiny-world", file: str = "model-720p-16fps.pt") -> Any:
    torch.save(state, folder / file)
    return convert(folder / file, name, folder / "models", variants=TABLE, say=lambda text: None)


def refused(state: Any, folder: Path, name: str = "tiny-world", file: str = "model-720p-16fps.pt") -> str:
    with pytest.raises(CheckpointUnknown) as caught:
        made(state, folder, name, file)
    assert not (folder / "models").exists()
    return caught.value.message


@pytest.mark.parametrize("nest", [(), ("model",), ("state_dict",), ("module", "model")])
def test_a_released_file_becomes_the_same_weights(state: Any, network: Any, tmp_path: Path, nest: tuple[str, ...]) -> None:
    for name in nest:
        state = {name: state, "epoch": 3}
    manifest = made(state, tmp_path)
    folder = tmp_path / "models" / "tiny-world"
    assert (verify(folder), manifest.kind, manifest.source) == (manifest, ComponentKind.TRANSFORMER, "model-720p-16fps.pt")
    loaded = load_module(CosmosTransformer3DModel, folder, torch.device("cpu"))
    assert {name: tensor.dtype for name, tensor in loaded.state_dict().items()} == dict.fromkeys(
        network.state_dict(), torch.bfloat16
    )
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert loaded.config.rope_scale == [1.0, 3.0, 3.0]
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"tiny-world"}


class Evil:
    """Makes a file when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True], ids=["torch", "pickle"])
def test_a_file_that_runs_code_is_refused_and_nothing_runs(state: Any, tmp_path: Path, legacy: bool) -> None:
    harm = tmp_path / "harm"
    path = tmp_path / "model.pt"
    with path.open("wb") as file:
        pickle.dump({"net.x": Evil(harm)}, file, protocol=2) if legacy else torch.save(state | {"net.x": Evil(harm)}, file)
    with pytest.raises(CheckpointUnknown, match="nothing of it was run"):
        convert(path, "tiny-world", tmp_path / "models", variants=TABLE, say=lambda text: None)
    assert not harm.exists()
    torch.load(path, weights_only=False) if not legacy else pickle.loads(path.read_bytes())  # noqa: S301  it is harmful
    assert harm.exists()


def test_what_cannot_be_identified_is_refused_with_what_was_expected(state: Any, tmp_path: Path) -> None:
    embedder = "net.x_embedder.proj.1.weight"
    message = refused(state | {embedder: torch.ones(48, 72)}, tmp_path)
    assert "x_embedder.proj.1.weight is [48, 72]; expected was one of [32, 72] (Tiny Video2World), [32, 68]" in message
    without = {name: tensor for name, tensor in state.items() if name != embedder}
    assert f"has no {embedder}" in refused(without, tmp_path)
    other = state | {"net.blocks.block0.blocks.0.block.attn.to_q.0.weight": torch.ones(2)}
    assert "is of Predict1: x_embedder.proj.1.weight is [32, 72]; expected was one of none" in refused(other, tmp_path)
    assert "no PyTorch file" in refused_bytes(b"not at all", tmp_path)
    assert "names and tensors were expected" in refused([1, 2], tmp_path)


def refused_bytes(data: bytes, folder: Path) -> str:
    (folder / "model.pt").write_bytes(data)
    with pytest.raises(CheckpointUnknown) as caught:
        convert(folder / "model.pt", "tiny-world", folder / "models", variants=TABLE, say=lambda text: None)
    return caught.value.message


def test_every_tensor_is_held_to_the_variant(state: Any, tmp_path: Path) -> None:
    query = "net.blocks.1.self_attn.q_proj.weight"
    assert "blocks.1.self_attn.q_proj.weight is [32, 16]; Tiny Video2World has [32, 32]" in refused(
        state | {query: torch.ones(32, 16)}, tmp_path
    )
    without = {name: tensor for name, tensor in state.items() if name != query}
    assert "transformer_blocks.1.attn1.to_q.weight of shape [32, 32], and this file has none" in refused(without, tmp_path)
    projected = state | {"net.crossattn_proj.0.weight": torch.ones(4, 4)}  # as Predict2.5 has
    assert "is of Predict2.5" in refused(projected, tmp_path)
    assert "x_embedder.proj.1.bias is a str; expected was a tensor" in refused(
        state | {"net.x_embedder.proj.1.bias": "b"}, tmp_path
    )


@pytest.mark.parametrize("file", ["model_fast_tokenizer.pt", "model-multiview.pt"])
def test_a_network_that_would_run_wrongly_is_known_by_its_name(state: Any, tmp_path: Path, file: str) -> None:
    assert "in a way that no stage has" in refused(state, tmp_path, file=file)


SPARSE_TINY = TINY.model_copy(update={"neighbourhoods": "tiny"})
RELEASED_TABLE = {
    "predict2-2b-video2world-720p16": SPARSE_TINY,
    "predict2-2b-video2world-480p10": SPARSE_TINY,
    "predict2-2b-video2world-720p16-natten": SPARSE_TINY,
    "predict2-2b-text2image": OTHER,
    "predict2-2b-text2image-distilled": OTHER,
}


def released(state: Any, folder: Path, file: str, name: str) -> Any:
    torch.save(state, folder / file)
    return convert(folder / file, name, folder / "models", variants=RELEASED_TABLE, say=lambda text: None)


def neighbourhoods_of(folder: Path, name: str) -> Any:
    return json.loads((folder / "models" / name / "config.json").read_text()).get("neighbourhoods")


def test_a_sparse_network_is_marked_by_its_own_name_or_its_files(state: Any, tmp_path: Path) -> None:
    sparse, dense = "predict2-2b-video2world-720p16-natten", "predict2-2b-video2world-720p16"
    released(state, tmp_path, "model-720p-16fps-natten.pt", sparse)
    released(state, tmp_path, "model-720p-16fps.pt", dense)
    released(state, tmp_path, "model-720p-16fps-natten.pt", "my-own")
    assert [neighbourhoods_of(tmp_path, name) for name in (sparse, dense, "my-own")] == ["predict2-2b", None, "tiny"]
    assert "none are known of Tiny" in refused(state, tmp_path / "models", file="model-720p-16fps-natten.pt")


def test_a_sparse_network_that_is_added_is_marked_by_its_name(network: Any, tmp_path: Path) -> None:
    for name, table in (("predict2-2b-video2world-720p16-natten", "predict2-2b"), ("predict2-2b-video2world-720p16", None)):
        network.save_pretrained(tmp_path / "models" / name)
        describe(tmp_path / "models" / name, None, say=lambda text: None)
        assert neighbourhoods_of(tmp_path, name) == table
        verify(tmp_path / "models" / name)


@pytest.mark.parametrize(
    ("file", "name", "meant"),
    [
        ("model-720p-16fps-natten.pt", "predict2-2b-video2world-720p16", "720p16-natten"),
        ("model-720p-16fps.pt", "predict2-2b-video2world-720p16-natten", "720p16"),
        ("model-480p-10fps.pt", "predict2-2b-video2world-720p16", "480p10"),
        ("model_distilled.pt", "predict2-2b-text2image", "text2image-distilled"),
        ("model.pt", "predict2-2b-text2image-distilled", "text2image"),
    ],
)
def test_the_files_of_one_network_are_not_mistaken_for_each_other(
    state: Any, tmp_path: Path, file: str, name: str, meant: str
) -> None:
    if "image" in name:
        image = {key: value for key, value in state.items() if "x_embedder" not in key}
        state = image | {"net.x_embedder.proj.1.weight": torch.ones(32, 68, dtype=torch.bfloat16)}
    with pytest.raises(CheckpointUnknown, match=f"released as .*{meant}, which has the tensors of {name}"):
        released(state, tmp_path, file, name)


def test_a_component_is_not_made_of_another_network(state: Any, tmp_path: Path) -> None:
    assert "is Tiny Video2World; tiny-image is Tiny Text2Image" in refused(state, tmp_path, name="tiny-image")
    made(state, tmp_path, name="my-own")
    with pytest.raises(ComponentUnusable, match="is there already"):
        made(state, tmp_path, name="my-own")


def test_a_component_that_cannot_fit_is_not_begun(state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(NoSpace, match="which has 1000"):
        made(state, tmp_path)
    assert not (tmp_path / "models" / "tiny-world").exists()


BILLIONS = {"0.6b-text2image": 0.598, "2b-text2image": 1.956, "14b-text2image": 14.265}
BILLIONS |= {"2b-video2world-480p10": 1.956, "14b-video2world-720p16-natten": 14.265, "0.6b-text2image-distilled": 0.598}


@pytest.mark.parametrize(("name", "billions"), BILLIONS.items())
def test_released_variants_have_their_published_number_of_parameters(name: str, billions: float) -> None:
    with torch.device("meta"):
        network = CosmosTransformer3DModel(**VARIANTS[f"predict2-{name}"].config)
    counted = sum(parameter.numel() for parameter in network.parameters())
    assert counted / 1e9 == pytest.approx(billions, abs=0.0006)
    assert tuple(network.patch_embed.proj.weight.shape) == VARIANTS[f"predict2-{name}"].embedder


def test_the_command_tells_what_is_wrong(state: Any, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "model.pt")
    words = ["models", "convert", str(tmp_path / "model.pt"), "--as", "predict2-2b-video2world-720p16"]
    done = CliRunner().invoke(cli.app, [*words, "--models-dir", str(tmp_path / "models")])
    assert isinstance(done.exception, CheckpointUnknown)
    assert "x_embedder.proj.1.weight is [32, 72]; expected was one of [1280, 68] (Predict2 0.6B" in done.exception.message
