"""The program that trains the miniature, run through all its steps with a recipe that learns nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from orrery.engines.eager import EagerEngine
from orrery.stages.texts import T5, Projection, Qwen
from orrery.stages.tokenizers import WanTokenizer
from orrery.worlds.catalog import find
from orrery.worlds.components import PACKAGED, installed, read_manifest, verify
from programs import output_of

CPU = torch.device("cpu")
MODEL = find("miniature")


def train(folder: Path, program: str = "miniature", *words: str) -> str:
    folders = ["--work", str(folder / "work"), "--out", str(folder / "components")]
    return output_of(program, "--recipe", "smoke", "--prompts", "1", "--steps", "2", *words, *folders)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("miniature")
    told = train(folder)
    assert [line.split()[0] for line in told.splitlines() if "direction" in line] == [
        "reconstructed",
        "text2world",
        "image2world",
    ]
    return folder


def test_the_components_of_the_catalog_come_out_small_enough_to_ship(trained: Path) -> None:
    folder = trained / "components"
    assert set(installed(folder)) == set(MODEL.components)
    assert not any(verify(folder / name).random_weights for name in MODEL.components)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 25e6


def test_they_are_stored_in_half_precision(trained: Path) -> None:
    for path in (trained / "components").rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}, path  # noqa: SIM118


def test_the_stages_load_and_run_them(trained: Path) -> None:
    folder = trained / "components"
    text = T5(folder / MODEL.text_encoder, CPU).encode("A red circle moves right on a black background.")
    assert text.shape == (128, 128)
    tokenizer = WanTokenizer(folder / MODEL.video_tokenizer, CPU)
    latents = tokenizer.encode(torch.zeros(1, 3, 5, 96, 96))
    assert latents.shape == (1, 16, 2, 12, 12)
    assert [chunk.shape for chunk in tokenizer.decode_chunks(latents)] == [(3, 1, 96, 96), (3, 4, 96, 96)]
    assert MODEL.world is not None
    engine = EagerEngine(folder / MODEL.world.component, CPU)
    mask, level = torch.zeros(1, 1, 2, 12, 12), torch.full((1, 1, 2, 1, 1), 0.5)
    assert engine(latents, level, text[None], mask, None).shape == latents.shape


def test_the_previews_of_both_denoisers_know_the_colours_of_the_video_tokenizer(trained: Path) -> None:
    maps = {read_manifest(trained / "components" / spec.component).latent_rgb for spec in (MODEL.image, MODEL.world) if spec}
    assert len(maps) == 1
    assert None not in maps


def test_the_model_card_says_how_it_was_trained_and_how_it_scores(trained: Path) -> None:
    card = (trained / "components" / "README.md").read_text()
    assert "| `denoiser_steps` | 3 |" in card
    assert "\n| image2world | 0.000 | 0.000 | 0.000 | 0.000 |\n" in card


def test_a_training_that_ended_is_resumed_at_its_end(trained: Path) -> None:
    told = train(trained)
    assert "steps/s" not in told
    assert (trained / "work" / "losses.png").stat().st_size > 1000


def test_the_form_of_predict25_is_one_denoiser_that_the_stages_serve(tmp_path: Path) -> None:
    told = train(tmp_path, "miniature.one_model", "--components", str(PACKAGED))
    assert "one_model 2/2" in told
    folder = tmp_path / "components"
    states = Qwen(folder / "miniature-qwen", CPU).encode("A red circle moves right on a black background.")
    text = Projection(folder / "miniature-base", CPU)(states)
    assert (states.shape, text.shape) == ((128, 512), (128, 128))
    engine = EagerEngine(folder / "miniature-base", CPU)
    latents, mask, level = torch.zeros(1, 16, 2, 12, 12), torch.zeros(1, 1, 2, 12, 12), torch.full((1, 1, 2, 1, 1), 0.5)
    assert engine(latents, level, text[None], mask, None).shape == latents.shape
    assert read_manifest(folder / "miniature-base").latent_rgb is not None


@pytest.fixture(scope="module")
def alone(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    told = train(folder, "miniature.alone", "--components", str(trained / "components"))
    assert [line.split()[0] for line in told.splitlines() if " 2/2 " in line] == ["image", "image_again", "world"]
    return folder


def test_both_denoisers_learn_alone(trained: Path, alone: Path) -> None:
    before, after = installed(trained / "components"), installed(alone / "components")
    changed = {name for name in before if before[name].files != after[name].files}
    assert MODEL.image is not None
    assert MODEL.world is not None
    assert changed == {MODEL.image.component, MODEL.world.component}


def test_alone_matrices_of_blocks_learn_by_muon_and_the_rest_by_adamw(alone: Path) -> None:
    _adamw, muon = torch.load(alone / "work" / "image" / "checkpoint.pt", weights_only=True)["optimisers"]
    buffers = [state["momentum_buffer"] for state in muon["state"].values()]
    assert {buffer.ndim for buffer in buffers} == {2}
    assert len(buffers) == 7 * 16


def test_text_encoder_and_denoisers_go_on_with_crowded_scenes(trained: Path, tmp_path: Path) -> None:
    told = train(tmp_path, "miniature.crowding", "--components", str(trained / "components"))
    assert "crowding 2/2" in told
    before, after = installed(trained / "components"), installed(tmp_path / "components")
    same = [name for name in before if before[name].files == after[name].files]
    assert same == [MODEL.video_tokenizer]
