"""Attention within neighbourhoods: the mask against NATTEN's words, every way of computing it, and a network that has it."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import CosmosTransformer3DModel
from diffusers.models.transformers.transformer_cosmos import CosmosAttnProcessor2_0

from orrery.engines import neighbourhood
from orrery.engines.eager import EagerEngine
from orrery.engines.neighbourhood import Grid, NeighbourhoodProcessor, axis_mask, dense, flex, token_mask
from orrery.stages.stage import StageSettings
from orrery.worlds import neighbourhoods
from orrery.worlds.catalog import CATALOG
from orrery.worlds.components import ComponentKind, write_manifest
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.neighbourhoods import CONFIG_KEY, TABLES, Neighbourhood, Triple, adapted, mark
from stages.setting import WORLD, PlainCall, Stages

CPU = torch.device("cpu")


def attended(length: int, window: int, stride: int, dilation: int, token: int) -> set[int]:
    """What a token attends to along an axis, as NATTEN's documentation tells it, one sentence after another."""
    residue = [place for place in range(length) if place % dilation == token % dilation]
    own = residue.index(token)
    group = [place for place in range(len(residue)) if place // stride == own // stride]
    whole = range(group[0], group[0] + stride)
    leader = min(whole[len(whole) // 2], len(residue) - 1)
    start = leader - window // 2
    start = max(0, min(start, len(residue) - window))
    return {residue[place] for place in range(start, start + window)}


SIDES = [
    (length, window, stride, dilation)
    for length, window, stride, dilation in itertools.product(range(2, 14), range(2, 8), (1, 2, 3, 4), (1, 2, 3))
    if window <= length // dilation and stride <= window
]


def test_the_mask_along_an_axis_is_what_nattens_documentation_says() -> None:
    assert len(SIDES) > 250
    for length, window, stride, dilation in SIDES:
        mask = axis_mask(length, window, stride, dilation)
        assert (mask.sum(dim=1) == window).all()
        for token in range(length):
            expected = attended(length, window, stride, dilation, token)
            assert set(mask[token].nonzero().flatten().tolist()) == expected, (length, window, stride, dilation, token)


GRIDS: list[tuple[Triple, Neighbourhood]] = [
    ((3, 6, 8), Neighbourhood(window=(3, 4, 4), stride=(1, 2, 4))),
    ((2, 8, 10), Neighbourhood(window=(2, 4, 2), stride=(1, 4, 1), dilation=(1, 1, 5))),
    ((2, 9, 7), Neighbourhood(window=(2, 3, 3), dilation=(1, 3, 2))),
]


@pytest.mark.parametrize(("grid", "pattern"), GRIDS, ids=lambda value: str(value))
def test_the_mask_of_a_grid_is_that_of_its_axes_together(grid: Triple, pattern: Neighbourhood) -> None:
    tokens = list(itertools.product(*map(range, grid)))
    mask = token_mask(pattern, grid, torch.arange(len(tokens)))
    sides = list(zip(grid, pattern.window, pattern.stride, pattern.dilation, strict=True))
    for row, query in zip(mask, tokens, strict=True):
        axes = [attended(*side, place) for side, place in zip(sides, query, strict=True)]
        assert [bool(one) for one in row] == [all(k in axis for k, axis in zip(key, axes, strict=True)) for key in tokens]


WHOLE_TILES: list[tuple[Triple, Neighbourhood]] = [
    ((4, 8, 16), Neighbourhood(window=(4, 4, 5), stride=(1, 2, 4))),
    ((4, 12, 40), Neighbourhood(window=(4, 3, 4), dilation=(1, 3, 5))),
]
"""Grids whose tokens FlexAttention gets in tiles."""


def qkv(grid: Triple, heads: int = 2, width: int = 16) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.randn(1, heads, grid[0] * grid[1] * grid[2], width, generator=generator) for _ in range(3))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # which needs a compiler and a GPU
@pytest.mark.parametrize(("grid", "pattern"), [GRIDS[1], *WHOLE_TILES], ids=str)
def test_block_masks_and_the_plain_mask_give_the_same(
    grid: Triple, pattern: Neighbourhood, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = qkv(grid)
    plain = dense(q, k, v, pattern, grid)
    torch.testing.assert_close(flex(q, k, v, pattern, grid), plain, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(neighbourhood, "ROWS", 7)
    torch.testing.assert_close(dense(q, k, v, pattern, grid), plain, atol=1e-6, rtol=1e-6)


RELEASED = {"98": 0.018, "95": 0.055, "92": 0.082, "77": 0.227, "55": 0.445}


@pytest.mark.parametrize("percent", RELEASED)
def test_in_tiles_no_released_pattern_needs_more_blocks_than_its_windows_are_large(percent: str) -> None:
    """At 720p and 16 frames per second, of the 660 x 660 blocks: those that are computed, and those of them without a mask."""
    pattern, grid = adapted(getattr(neighbourhoods, f"SPARSE_{percent}"), (24, 44, 80)), (24, 44, 80)
    mask = neighbourhood.in_tiles(pattern, grid, CPU).mask
    assert mask.full_kv_num_blocks is not None
    masked, whole = mask.kv_num_blocks.sum().item(), mask.full_kv_num_blocks.sum().item()
    assert (masked + whole) / 660**2 == pytest.approx(RELEASED[percent], abs=0.0006)
    assert masked == 0


def test_the_tables_are_the_official_ones() -> None:
    """Counted from `config_natten.py`; the mean share of pairs that are kept is known of both."""
    assert {name: len(table) for name, table in TABLES.items()} == {"predict2-2b": 28, "predict2-14b": 36, "tiny": 2}
    assert [index for index, one in enumerate(TABLES["predict2-14b"]) if one is None] == [27]
    kept = {name: sum(map(share, table)) / len(table) for name, table in TABLES.items()}
    assert kept["predict2-2b"] == pytest.approx(0.165, abs=0.0005)
    assert kept["predict2-14b"] == pytest.approx(0.171, abs=0.0005)


def share(pattern: Neighbourhood | None) -> float:
    if pattern is None:
        return 1.0
    grid = (24, 44, 80)
    window = adapted(pattern, grid).window
    return float(torch.tensor(window).prod() / torch.tensor(grid).prod())


def test_patterns_are_for_720p_as_they_stand_and_scaled_for_other_grids() -> None:
    for pattern in {one for table in TABLES.values() for one in table if one is not None}:
        same = adapted(pattern, (24, 44, 80))
        assert same == pattern.model_copy(update={"window": (24, *pattern.window[1:])})
        half = adapted(pattern, (16, 22, 40))
        for length, window, stride, dilation in zip((16, 22, 40), half.window, half.stride, half.dilation, strict=True):
            assert stride <= window <= length // dilation
    sparse = Neighbourhood(window=(-1, 4, 16), dilation=(1, 11, 5))
    assert adapted(sparse, (5, 22, 40)) == Neighbourhood(window=(5, 2, 8), dilation=(1, 6, 2))
    assert adapted(Neighbourhood(window=(-1, 12, 24), stride=(1, 4, 8)), (5, 6, 11)) == Neighbourhood(window=(5, 2, 3))


@pytest.fixture
def sparse(models_dir: Path, tmp_path: Path) -> Path:
    """The tiny world's transformer, marked as one that was trained with neighbourhoods."""
    folder = tmp_path / "tiny-sparse"
    shutil.copytree(models_dir / WORLD, folder)
    (folder / "component.json").unlink()
    mark(folder / "config.json", "tiny")
    write_manifest(folder, ComponentKind.TRANSFORMER, random_weights=True)
    return folder


def asked(frames: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    shape = (1, 16, frames, 24, 32)
    told = {"hidden_states": shape, "encoder_hidden_states": (1, 7, 32), "condition_mask": (1, 1, *shape[2:])}
    return {name: torch.randn(size, generator=generator) for name, size in told.items()} | {
        "timestep": torch.full((1, 1, frames, 1, 1), 0.4),
        "rope_fps": None,
    }


class Masked(CosmosAttnProcessor2_0):
    """Diffusers' own processor, told what a layer attends to."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.mask = mask

    def __call__(self, attn: Any, hidden_states: torch.Tensor, image_rotary_emb: Any = None, **_: Any) -> torch.Tensor:
        return super().__call__(attn, hidden_states, attention_mask=self.mask, image_rotary_emb=image_rotary_emb)


def test_a_marked_network_is_diffusers_network_with_the_mask(sparse: Path, models_dir: Path) -> None:
    values, grid = asked(3), (3, 12, 16)
    theirs = EagerEngine(models_dir / WORLD, CPU)
    plain = theirs(**values)
    every = torch.arange(grid[0] * grid[1] * grid[2])
    for block, pattern in zip(theirs._module.transformer_blocks, TABLES["tiny"], strict=True):
        assert pattern is not None
        block.attn1.set_processor(Masked(token_mask(adapted(pattern, grid), grid, every)))
    expected = theirs(**values)
    torch.testing.assert_close(EagerEngine(sparse, CPU)(**values), expected, atol=1e-5, rtol=1e-5)
    assert (expected - plain).abs().max() > 0.01


def test_a_single_frame_attends_to_itself_whole(sparse: Path, models_dir: Path) -> None:
    values = asked(1)
    torch.testing.assert_close(EagerEngine(sparse, CPU)(**values), EagerEngine(models_dir / WORLD, CPU)(**values))


def test_the_denoiser_runs_a_marked_network(sparse: Path, stages: Stages) -> None:
    """The whole loop over it, in the stage that serves it."""
    own = Stages(StageSettings(models_dir=sparse.parent, threads=2))
    values: dict[str, Any] = {"seed": 2, "num_inference_steps": 2, "guidance_scale": 0.0, "sampler": "res_2ab"}
    values |= {"latent_shape": [3, 24, 32], "text_embeddings": torch.randn(7, 32).numpy()}
    values["condition_latents"] = torch.randn(16, 1, 24, 32).numpy()
    made = own["denoiser"].run(values | {"component": sparse.name}, PlainCall(own))["latents"]
    dense_made = stages["denoiser"].run(values | {"component": WORLD}, PlainCall(stages))["latents"]
    assert made.shape == dense_made.shape
    assert abs(made - dense_made).max() > 0.01


@pytest.mark.parametrize(("marked", "why"), [("predict2-9b", "only predict2-2b"), ("predict2-2b", "28 layers")])
def test_a_network_that_is_marked_wrongly_is_refused(sparse: Path, marked: str, why: str) -> None:
    mark(sparse / "config.json", marked)
    with pytest.raises(ComponentUnusable, match=why):
        EagerEngine(sparse, CPU)


def test_a_network_is_never_run_in_another_way_than_the_catalog_says(sparse: Path, models_dir: Path) -> None:
    """Neither as dense because nobody marked it, nor as sparse under a dense one's name."""
    names = {spec.world.component for spec in CATALOG.values() if spec.world is not None and spec.world.neighbourhoods}
    released = {f"predict2-{size}-video2world-720p{fps}-natten" for size in ("14b", "2b") for fps in (10, 16)}
    assert names == released | {"tiny-predict2-video2world-natten"}
    unmarked = sparse.parent / "predict2-2b-video2world-720p16-natten"
    shutil.copytree(models_dir / WORLD, unmarked)
    with pytest.raises(ComponentUnusable, match=r"neighbourhoods predict2-2b; its config\.json says None"):
        EagerEngine(unmarked, CPU)
    marked = sparse.parent / WORLD
    shutil.copytree(sparse, marked)
    with pytest.raises(ComponentUnusable, match=r"neighbourhoods None; its config\.json says tiny"):
        EagerEngine(marked, CPU)


def test_on_a_gpu_natten_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    assert neighbourhood.kernel_for(CPU) is neighbourhood.dense
    assert neighbourhood.kernel_for(gpu) is neighbourhood.flex
    monkeypatch.setattr(neighbourhood, "find_spec", lambda name: name == "natten")
    assert neighbourhood.kernel_for(gpu) is neighbourhood.natten


def test_neighbourhoods_are_of_self_attention() -> None:
    processor = NeighbourhoodProcessor(TABLES["predict2-2b"][0] or Neighbourhood(window=(2, 2, 2)), Grid(), dense)
    with pytest.raises(ValueError, match="self-attention"):
        processor(None, torch.zeros(1, 2, 3), encoder_hidden_states=torch.zeros(1, 2, 3))


def test_the_mark_stays_in_the_configuration(sparse: Path) -> None:
    assert json.loads((sparse / "config.json").read_text())[CONFIG_KEY] == "tiny"
    assert "CosmosTransformer3DModel" in (sparse / "config.json").read_text()
    assert CosmosTransformer3DModel.load_config(sparse)[CONFIG_KEY] == "tiny"
