"""Released files of Predict1: the names of 1.0, and variants told by what the embedder takes and gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CosmosTransformer3DModel

from orrery.engines.weights import load_module
from orrery.weights.converting import convert
from orrery.weights.errors import CheckpointUnknown
from orrery.weights.released import VARIANTS, Variant, predict1, variant_of
from orrery.worlds.catalog import CATALOG

TINY = Variant(
    generation=predict1.GENERATION,
    name="Tiny Predict1",
    heads=2,
    head_width=16,
    layers=11,
    in_channels=17,
    rope_scale=(2.0, 1.0, 1.0),
    text_width=8,
    adaln_width=4,
    mlp_ratio=1.0,
    extra={"extra_pos_embed_type": "learnable"},
)
TABLE = {"tiny-predict1-video2world": TINY}

RELEASED = {
    "patch_embed.proj": "x_embedder.proj.1",
    "time_embed.t_embedder.linear_1": "t_embedder.1.linear_1",
    "time_embed.t_embedder.linear_2": "t_embedder.1.linear_2",
    "time_embed.norm": "affline_norm",
    "norm_out.linear_1": "final_layer.adaLN_modulation.1",
    "norm_out.linear_2": "final_layer.adaLN_modulation.2",
    "proj_out": "final_layer.linear",
    "learnable_pos_embed.pos_emb_t": "extra_pos_embedder.pos_emb_t",
    "learnable_pos_embed.pos_emb_h": "extra_pos_embedder.pos_emb_h",
    "learnable_pos_embed.pos_emb_w": "extra_pos_embedder.pos_emb_w",
}
IN_BLOCK = {"ff.net.0.proj": "blocks.2.block.layer1", "ff.net.2": "blocks.2.block.layer2"}
IN_BLOCK |= {
    f"norm{number + 1}.linear_{part}": f"blocks.{number}.adaLN_modulation.{part}" for number in range(3) for part in (1, 2)
}
IN_BLOCK |= {
    f"attn{number + 1}.{ours}": f"blocks.{number}.block.attn.{theirs}"
    for number in range(2)
    for ours, theirs in {
        "to_q": "to_q.0",
        "norm_q": "to_q.1",
        "to_k": "to_k.0",
        "norm_k": "to_k.1",
        "to_v": "to_v.0",
        "to_out.0": "to_out.0",
    }.items()
}
"""The released name of every tensor of diffusers' network, written out the other way round."""


def released_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    if stem in RELEASED:
        return RELEASED[stem] + name.removeprefix(stem)
    _, index, rest = stem.split(".", 2)
    return f"blocks.block{index}.{IN_BLOCK[rest]}.weight"


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(7)
    network = CosmosTransformer3DModel(**TINY.config).eval()
    for parameter in network.learnable_pos_embed.parameters():
        torch.nn.init.normal_(parameter)  # they begin as zeros, which would be equal to one another
    return network.to(torch.bfloat16)


@pytest.fixture
def state(network: Any) -> dict[str, Any]:
    weights = {f"net.{released_name(name)}": tensor for name, tensor in network.state_dict().items()}
    beside = {"logvar.0.freqs": torch.ones(4), "logvar.0.phases": torch.ones(4), "logvar.1.weight": torch.ones(1, 4)}
    return weights | beside | {"net.pos_embedder.seq": torch.arange(240.0)}


def made(state: Any, folder: Path, file: str = "model.pt") -> Any:
    torch.save(state, folder / file)
    name = "tiny-predict1-video2world"
    return convert(folder / file, name, folder / "models", variants=TABLE | VARIANTS, say=lambda text: None)


@pytest.mark.parametrize("nested", [False, True])
def test_a_released_file_becomes_the_same_weights(state: Any, network: Any, tmp_path: Path, nested: bool) -> None:
    """Eleven blocks, so that one number begins another."""
    made({"model": state} if nested else state, tmp_path)
    loaded = load_module(CosmosTransformer3DModel, tmp_path / "models" / "tiny-predict1-video2world", torch.device("cpu"))
    theirs = network.state_dict()
    assert set(loaded.state_dict()) == set(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in loaded.state_dict().items())
    assert (loaded.config.extra_pos_embed_type, loaded.config.rope_scale) == ("learnable", [2.0, 1.0, 1.0])


def test_what_is_missing_or_strange_is_refused(state: Any, tmp_path: Path) -> None:
    learnt = "net.extra_pos_embedder.pos_emb_h"
    without = {name: tensor for name, tensor in state.items() if name != learnt}
    with pytest.raises(CheckpointUnknown, match=r"has learnable_pos_embed\.pos_emb_h of shape \[120, 32\]"):
        made(without, tmp_path)
    with pytest.raises(CheckpointUnknown, match="is of Predict1: x_embedder"):
        made(state | {"net.x_embedder.proj.1.weight": torch.ones(4096, 76)}, tmp_path)


@pytest.mark.parametrize("file", ["multiview.pt", "Cosmos-Predict1-7B-WorldInterpolator.pt", "action_post-trained.pt"])
def test_a_network_that_would_run_wrongly_is_known_by_its_name(state: Any, tmp_path: Path, file: str) -> None:
    with pytest.raises(CheckpointUnknown, match="in a way that no stage has"):
        made(state, tmp_path, file)


EMBEDDERS = {
    "predict1-7b-text2world": (4096, 68),
    "predict1-7b-video2world": (4096, 72),
    "predict1-14b-text2world": (5120, 68),
    "predict1-14b-video2world": (5120, 72),
}


@pytest.mark.parametrize(("name", "embedder"), EMBEDDERS.items())
def test_a_variant_is_told_by_its_embedder(name: str, embedder: tuple[int, int]) -> None:
    """14B has the embedder of Predict2's 14B: the names of the blocks tell them apart."""
    block = {"blocks.block0.blocks.0.block.attn.to_q.0.weight": (embedder[0], embedder[0])}
    shapes = {"x_embedder.proj.1.weight": embedder} | block
    assert variant_of("model.pt", shapes, VARIANTS.values()) == VARIANTS[name]


@pytest.mark.parametrize(("size", "billions"), [("7b", 7.236), ("14b", 14.267)])
def test_released_variants_have_their_published_number_of_parameters(size: str, billions: float) -> None:
    with torch.device("meta"):
        network = CosmosTransformer3DModel(**VARIANTS[f"predict1-{size}-text2world"].config)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e9 == pytest.approx(billions, abs=0.0006)
    assert tuple(network.patch_embed.proj.weight.shape) == EMBEDDERS[f"predict1-{size}-text2world"]


def test_every_transformer_of_the_catalog_is_a_known_variant() -> None:
    models = [CATALOG[f"predict1-{size}"] for size in ("7b", "14b")]
    named = {spec.component for model in models for spec in (model.text, model.world) if spec is not None}
    assert named == set(predict1.VARIANTS)
