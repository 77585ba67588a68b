"""The tiny checkpoint, and what happens to components that are not what they should be."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orrery.stages.loading import ComponentCache
from orrery.stages.stage import StageSettings, stage_class
from orrery.worlds import catalog
from orrery.worlds.components import ComponentKind, installed
from orrery.worlds.errors import ComponentUnusable
from stages.setting import IMAGE, ROOT, TEXT_ENCODER, VIDEO_TOKENIZER, WORLD, PlainCall, Stages


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_script_makes_what_the_catalog_names(models_dir: Path) -> None:
    manifests = installed(models_dir)
    named = {name for model in catalog.CATALOG for name in catalog.find(model).components}
    assert set(manifests) == {name for name in named if name.startswith("tiny-")}
    assert all(manifest.random_weights for manifest in manifests.values())
    assert sum(len(data) for data in contents(models_dir).values()) < 6_000_000


def test_another_process_makes_the_same_bytes(models_dir: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "build" / "tiny.py"), "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT / "services")})
    assert contents(tmp_path) == contents(models_dir)


def test_only_what_is_broken_is_made_again(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "build")
    build = runpy.run_path(str(ROOT / "build" / "tiny.py"))["build"]
    copy = tmp_path / "models"
    shutil.copytree(models_dir, copy)
    assert build(copy) == []
    (copy / VIDEO_TOKENIZER / "config.json").write_text("{}")
    shutil.rmtree(copy / IMAGE)
    assert sorted(build(copy)) == [IMAGE, VIDEO_TOKENIZER]
    assert contents(copy) == contents(models_dir)


@pytest.mark.parametrize("name", ["absent", "..", "../" + TEXT_ENCODER, VIDEO_TOKENIZER])
def test_a_component_that_is_missing_or_of_another_kind_is_refused(name: str, stages: Stages, call: PlainCall) -> None:
    with pytest.raises(ComponentUnusable):
        stages["text_encoder"].run({"component": name, "prompt": "a robot"}, call)


def test_a_component_that_has_changed_is_refused(models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir / TEXT_ENCODER, tmp_path / TEXT_ENCODER)
    weights = tmp_path / TEXT_ENCODER / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ComponentUnusable, match=r"model\.safetensors"):
        stage_class("text_encoder")(StageSettings(tmp_path, preload=(TEXT_ENCODER,)))


def test_components_load_once_and_only_those_of_the_kind(models_dir: Path) -> None:
    loaded: list[str] = []
    settings = StageSettings(models_dir, threads=2, preload=(TEXT_ENCODER, WORLD))
    components = ComponentCache(settings, ComponentKind.TRANSFORMER, lambda folder, _: loaded.append(folder.name) or folder)
    assert loaded == [WORLD]
    for _ in range(2):
        with components.use(IMAGE) as folder:
            assert folder == models_dir / IMAGE
    assert loaded == [WORLD, IMAGE]


def encode(stages: Stages, prompt: str) -> np.ndarray:
    return stages["text_encoder"].run({"component": TEXT_ENCODER, "prompt": prompt}, PlainCall(stages))["text_embeddings"]


def test_embeddings_are_zero_after_the_prompt(stages: Stages) -> None:
    embeddings = encode(stages, "a red car")
    assert (embeddings.dtype, embeddings.shape) == (np.float32, (512, 32))
    used = np.abs(embeddings).sum(axis=1) > 0
    assert used[: used.sum()].all()
    assert 3 < used.sum() < 20
    assert not np.array_equal(embeddings, encode(stages, "a red bus"))


def test_a_long_prompt_is_cut_off(stages: Stages) -> None:
    embeddings = encode(stages, "zebra " * 300)
    assert embeddings.shape == (512, 32)
    assert (np.abs(embeddings).sum(axis=1) > 0).all()


def test_an_empty_prompt_has_an_embedding(stages: Stages) -> None:
    assert (np.abs(encode(stages, "")).sum(axis=1) > 0).sum() == 1, "the end-of-text token alone"
