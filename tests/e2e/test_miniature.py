"""The default model: a prompt comes true. What a clip shows is seen by the evaluator, not compared with bytes."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.stack import Stack, running
from orrery.client import cli
from orrery.client.clips import HttpClips
from orrery.evaluation.films import frames_of
from orrery.evaluation.judging import judge
from orrery.miniature.meaning import meaning
from orrery.sdk import Client
from orrery.worlds.catalog import DEFAULT_MODEL
from orrery.worlds.components import PACKAGED

PREDICT25 = "miniature-predict25"
ORRERY = [sys.executable, "-m", "orrery.client.cli"]


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("orrery"), PACKAGED, models=(DEFAULT_MODEL, PREDICT25)) as started:
        yield started


def test_the_demo_shows_what_its_prompt_says(tmp_path: Path) -> None:
    film = tmp_path / "world.mp4"
    subprocess.run([*ORRERY, "demo", "--home", str(tmp_path / "home"), "--output", str(film)], check=True, timeout=300)
    prompt = inspect.signature(cli.demo).parameters["prompt"].default
    verdict = judge(frames_of(film.read_bytes()), meaning(prompt))
    assert all(verdict.right.values()), verdict


def test_nothing_of_them_is_random(default: Stack) -> None:
    models = default.client.get("/v1/models").json()["data"]
    assert {model["id"]: model["random_weights"] for model in models} == {DEFAULT_MODEL: False, PREDICT25: False}


def test_one_model_too_makes_what_its_prompt_says_of_nothing(default: Stack) -> None:
    prompt = "A green square moves up on a black background."
    with Client(str(default.client.base_url)) as client:
        clip = HttpClips(client, PREDICT25)(prompt, None, seed=3, steps=None, sampler=None)
    verdict = judge(clip, meaning(prompt))
    assert all(verdict.right.values()), verdict


@pytest.mark.parametrize("model", [DEFAULT_MODEL, PREDICT25])
def test_from_a_first_frame_things_keep_their_colour_and_move_as_asked(default: Stack, model: str) -> None:
    found = evaluated(default, "--model", model, "--workflow", "image2world", "--prompts", "4", "--steps", "12")
    accuracy = {name: share["accuracy"] for name, share in found["accuracy"].items()}
    assert (accuracy["colour"], accuracy["direction"], accuracy["background"]) == (1, 1, 1)
    assert accuracy["shape"] >= 0.75
    # What of the given frame comes back through the video tokenizer and H.264.
    assert found["conditioning_psnr"]["mean"] > 25


def evaluated(stack: Stack, *words: str) -> dict[str, Any]:
    command = [*ORRERY, "eval", "miniature", "--url", str(stack.client.base_url), "--json", *words]
    told = subprocess.run(command, check=True, timeout=300, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(told)
    return found
