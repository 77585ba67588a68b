"""Released files of Predict2.5: the tensors of Predict2 and a projection, and never taken for Predict2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CosmosTransformer3DModel

from orrery.engines.weights import load_module
from orrery.weights.converting import convert
from orrery.weights.errors import CheckpointUnknown
from orrery.weights.released import VARIANTS, predict25
from weights import test_convert
from weights.test_convert import released_name

PROJECTION = {"use_crossattn_projection": True, "crossattn_proj_in_channels": 48, "encoder_hidden_states_channels": 32}
TINY = test_convert.TINY.model_copy(update={"generation": predict25.GENERATION, "name": "Tiny Predict2.5", "extra": PROJECTION})
SAME_WITHOUT = test_convert.TINY.model_copy(update={"name": "Tiny Predict2"})
TABLE = {"predict2.5-2b-base": TINY, "predict2.5-2b-base-distilled": TINY, "tiny-predict2": SAME_WITHOUT}


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(3)
    return CosmosTransformer3DModel(**TINY.config).to(torch.bfloat16).eval()


@pytest.fixture
def state(network: Any) -> dict[str, torch.Tensor]:
    """By released names; the projection's are diffusers' own."""
    names = {name: name if name.startswith("crossattn_proj") else released_name(name) for name in network.state_dict()}
    return {f"net.{names[name]}": tensor for name, tensor in network.state_dict().items()}


def made(state: dict[str, torch.Tensor], folder: Path, name: str, file: str) -> Any:
    torch.save(state, folder / file)
    return convert(folder / file, name, folder / "models", variants=TABLE, say=lambda text: None)


def test_a_released_file_becomes_the_same_network(state: dict[str, torch.Tensor], network: Any, tmp_path: Path) -> None:
    made(state, tmp_path, "predict2.5-2b-base", "81edfebe-bd6a-4039-8c1d-737df1a790bf_ema_bf16.pt")
    loaded = load_module(CosmosTransformer3DModel, tmp_path / "models" / "predict2.5-2b-base", torch.device("cpu"))
    assert {key: loaded.config[key] for key in PROJECTION} == PROJECTION
    theirs = network.state_dict()
    assert {f"crossattn_proj.0.{part}" for part in ("weight", "bias")} < set(theirs)
    assert [*loaded.state_dict()] == [*theirs]
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in loaded.state_dict().items())


def test_it_is_never_taken_for_predict2(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnknown, match=r"Tiny Predict2\.5; tiny-predict2 is Tiny Predict2"):
        made(state, tmp_path, "tiny-predict2", "model.pt")


def test_nor_predict2_for_it(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    older = {name: tensor for name, tensor in state.items() if "crossattn_proj" not in name}
    with pytest.raises(CheckpointUnknown, match=r"Tiny Predict2; predict2\.5-2b-base is Tiny Predict2\.5"):
        made(older, tmp_path, "predict2.5-2b-base", "model.pt")


def test_half_a_projection_is_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    del state["net.crossattn_proj.0.bias"]
    with pytest.raises(CheckpointUnknown, match=r"crossattn_proj\.0\.bias"):
        made(state, tmp_path, "predict2.5-2b-base", "model.pt")


def test_a_file_by_whose_name_it_is_another_checkpoint_is_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """The distilled network has the same tensors; run as the other it would make noise."""
    with pytest.raises(CheckpointUnknown, match=r"released as predict2\.5-2b-base-distilled"):
        made(state, tmp_path, "predict2.5-2b-base", "575edf0f-d973-4c74-b52c-69929a08d0a5_ema_bf16.pt")
    assert not (tmp_path / "models").exists()
    made(state, tmp_path, "mine", "575edf0f-d973-4c74-b52c-69929a08d0a5_ema_bf16.pt")


@pytest.mark.parametrize(("name", "billions"), [("predict2.5-2b-base", 2.059), ("predict2.5-14b-base", 14.368)])
def test_the_released_networks_have_the_published_sizes(name: str, billions: float) -> None:
    with torch.device("meta"):
        network = CosmosTransformer3DModel(**VARIANTS[name].config)
    assert network.config.crossattn_proj_in_channels == 100_352
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e9, 3) == billions
