"""A component that the hub has only as a `.pt`: pulled, held to its network, converted, and the file is gone."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch
from diffusers import CosmosTransformer3DModel

from orrery.weights import pulling
from orrery.weights.errors import CheckpointUnknown, HubMissing
from orrery.weights.hub import HuggingFaceHub
from orrery.weights.pulling import Pulled, pull
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.components import verify
from weights.hub import Repository, hub_of
from weights.test_convert import SPARSE_TINY, released_name
from weights.test_pull import WORLD_REPOSITORY, Lines

DENSE, SPARSE = "predict2-2b-video2world-480p10", "predict2-2b-video2world-720p16-natten"


def file_of(weights: dict[str, torch.Tensor]) -> bytes:
    written = io.BytesIO()
    torch.save({f"net.{released_name(name)}": tensor for name, tensor in weights.items()}, written)
    return written.getvalue()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Of the released names and layout, but tiny: so is what the components are held to."""
    monkeypatch.setattr(pulling, "VARIANTS", {DENSE: SPARSE_TINY, SPARSE: SPARSE_TINY})
    torch.manual_seed(5)
    weights: dict[str, torch.Tensor] = CosmosTransformer3DModel(**SPARSE_TINY.config).state_dict()
    return weights


def pulled(repository: Repository, name: str, models: Path) -> Pulled:
    with hub_of() as hub:
        hub.repositories = {WORLD_REPOSITORY: repository}
        return pull(HuggingFaceHub(hub.url), COMPONENTS[name], models, None, Lines())


def test_a_released_file_is_pulled_and_converted(network: dict[str, torch.Tensor], tmp_path: Path) -> None:
    repository = Repository({"model-480p-10fps.pt": file_of(network), "model-720p-16fps-natten.pt": file_of(network)})
    for name, file, table in ((DENSE, "model-480p-10fps.pt", None), (SPARSE, "model-720p-16fps-natten.pt", "predict2-2b")):
        done = pulled(repository, name, tmp_path)
        assert done.source == f"{WORLD_REPOSITORY}@{repository.commit}/{file}"
        assert done.fetched == len(repository.files[file])
        assert verify(tmp_path / name).fingerprint == done.fingerprint
        assert json.loads((tmp_path / name / "config.json").read_text()).get("neighbourhoods") == table
        assert pulled(repository, name, tmp_path).fetched == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([DENSE, SPARSE])


def test_what_is_no_such_network_is_kept_out(network: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(HubMissing, match=r"has 0 files model-480p-10fps\.pt"):
        pulled(Repository({"model.pt": file_of(network)}), DENSE, tmp_path)
    network.pop("proj_out.weight")
    with pytest.raises(CheckpointUnknown, match=r"proj_out\.weight"):
        pulled(Repository({"model-480p-10fps.pt": file_of(network)}), DENSE, tmp_path)
    assert not (tmp_path / DENSE).exists()
