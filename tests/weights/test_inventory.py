"""What `orrery models list`, `verify` and `add` say of a folder of components."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orrery.client import cli
from orrery.worlds.components import MANIFEST, PACKAGED, read_manifest
from orrery.worlds.errors import ComponentUnusable

WORLD, TOKENIZER = "miniature-video2world", "miniature-wan-vae"


def orrery(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The miniature's components, of which one may be broken."""
    return Path(shutil.copytree(PACKAGED, tmp_path / "models"))


def listed(models: Path, *words: str) -> dict[str, Any]:
    told = json.loads(orrery("models", "list", "--models-dir", models, "--json", *words).stdout)
    return {model["model"]: model for model in told["models"]}


def spoilt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_catalog_is_listed_with_what_is_here(models: Path) -> None:
    miniature, large = (listed(models)[name] for name in ("miniature", "predict2-2b"))
    sizes = {one["name"]: one["size"] for one in miniature["components"]}
    weights = sum(file.size for file in read_manifest(models / WORLD).files.values())
    assert (miniature["complete"], sizes[WORLD]) == (True, weights)
    assert {one["state"] for one in miniature["components"]} == {"installed"}
    assert (large["complete"], {one["state"] for one in large["components"]}) == (False, {"missing"})
    kinds = {one["name"]: one["kind"] for one in large["components"]}
    assert kinds.items() >= {"t5-11b": "text_encoder", "wan2.1-vae": "video_tokenizer"}.items()


def test_the_packaged_miniature_is_listed_wherever_one_looks(tmp_path: Path) -> None:
    miniature = listed(tmp_path / "none", "--verify")["miniature"]
    assert {one["state"] for one in miniature["components"]} == {"verified"}
    assert {Path(one["folder"]).parent for one in miniature["components"]} == {PACKAGED}


def test_digests_are_read_only_when_asked_for(models: Path) -> None:
    spoilt(models / WORLD / "config.json")
    states = {
        words: {one["name"]: one["state"] for one in listed(models, *words)["miniature"]["components"]}[WORLD]
        for words in ((), ("--verify",))
    }
    assert states == {(): "installed", ("--verify",): "broken"}


def test_a_folder_that_is_not_whole_says_what_is_wrong(models: Path) -> None:
    (models / WORLD / MANIFEST).unlink()
    (models / TOKENIZER / "config.json").unlink()
    model = listed(models)["miniature"]
    told = {one["name"]: (one["state"], one["problem"]) for one in model["components"]}
    assert told[WORLD] == ("unfinished", f"it has no {MANIFEST}")
    assert told[TOKENIZER][0] == "broken"
    assert "config.json" in told[TOKENIZER][1]
    assert not model["complete"]
    assert "not complete" in orrery("models", "list", "--models-dir", models).stdout


def test_verify_reads_everything_and_names_the_first_broken_file(models: Path) -> None:
    whole = orrery("models", "verify", "--models-dir", models, "--json")
    expected = {path.name: read_manifest(path).fingerprint for path in sorted(models.iterdir()) if path.is_dir()}
    assert (whole.exit_code, json.loads(whole.stdout)) == (0, {"verified": expected})
    spoilt(models / WORLD / "config.json")
    assert orrery("models", "verify", TOKENIZER, "--models-dir", models).exit_code == 0
    broken = orrery("models", "verify", "miniature", "--models-dir", models).exception
    assert isinstance(broken, ComponentUnusable)
    assert f"component {WORLD}: config.json" in broken.message


def test_verify_ends_with_a_status_of_its_own(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    spoilt(models / WORLD / "config.json")
    monkeypatch.setattr("sys.argv", ["orrery", "models", "verify", "--json", "--models-dir", str(models)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "component_unusable"


def test_an_empty_folder_is_not_a_verified_one(tmp_path: Path) -> None:
    assert isinstance(orrery("models", "verify", "--models-dir", tmp_path).exception, ComponentUnusable)


def test_add_writes_the_manifest_that_the_builder_wrote(models: Path) -> None:
    before = read_manifest(models / WORLD)
    (models / WORLD / MANIFEST).unlink()
    assert orrery("models", "add", models / WORLD).exit_code == 0
    added = read_manifest(models / WORLD)
    assert (added.fingerprint, added.kind) == (before.fingerprint, before.kind)
    assert added.latent_rgb is not None
    assert isinstance(orrery("models", "add", models / WORLD).exception, ComponentUnusable)


def test_add_wants_to_know_what_a_stranger_is(models: Path) -> None:
    shutil.copytree(models / WORLD, models / "mine", ignore=shutil.ignore_patterns(MANIFEST))
    assert "--kind" in str(orrery("models", "add", models / "mine").exception)
    done = orrery("models", "add", models / "mine", "--kind", "transformer")
    assert done.exit_code == 0
    assert "mine: without previews" in done.stderr
    assert read_manifest(models / "mine").latent_rgb is None


def a_lora(models: Path, name: str) -> Path:
    """Its weights are not looked at by whoever counts files."""
    (models / name).mkdir()
    (models / name / "pytorch_lora_weights.safetensors").write_bytes(b"weights")
    return models / name


def test_a_lora_is_added_listed_and_verified_like_any_component(models: Path) -> None:
    folder = a_lora(models, "ink")
    assert orrery("models", "add", folder, "--kind", "lora").exit_code == 0
    (listed_one,) = json.loads(orrery("models", "list", "--models-dir", models, "--json").stdout)["loras"]
    assert (listed_one["name"], listed_one["kind"], listed_one["state"], listed_one["size"]) == ("ink", "lora", "installed", 7)
    assert "loras\n  ink" in orrery("models", "list", "--models-dir", models).stdout
    assert orrery("models", "verify", "ink", "--models-dir", models).exit_code == 0
    spoilt(folder / "pytorch_lora_weights.safetensors")
    (broken,) = json.loads(orrery("models", "list", "--models-dir", models, "--json", "--verify").stdout)["loras"]
    assert broken["state"] == "broken"


def test_add_wants_the_file_of_a_lora(models: Path) -> None:
    (models / "ink").mkdir()
    assert "pytorch_lora_weights" in str(orrery("models", "add", models / "ink", "--kind", "lora").exception)
