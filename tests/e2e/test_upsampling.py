"""A prompt that a language model rewrites, through HTTP, Valkey and Triton, to the pixels."""

from __future__ import annotations

import json

from e2e.media import png, scene
from e2e.stack import Stack, task_of
from stages.language_model import LanguageModel, saying

FAST = {"num_inference_steps": 3, "num_frames": 9, "size": "96x96"}
LONG = "A steel ball rolls over a table of dark wood in warm light."


def test_a_world_is_made_from_what_the_language_model_wrote_and_the_next_seed_asks_nobody(
    stack: Stack, language_model: LanguageModel
) -> None:
    language_model.answer, before = lambda _: saying(LONG), len(language_model.asked)
    picture = ("a.png", png(scene(1, 96, 96)[0]))
    asked = {"prompt": "a ball rolls", "prompt_upsampling": "true", "input_reference": picture, **FAST}
    first, second = stack.make(**asked, seed=1), stack.make(**asked, seed=2)
    for job in (first, second):
        assert (job["prompt"], job["upsampled_prompt"], job["upsampling"]["outcome"]) == ("a ball rolls", LONG, "upsampled")
    (question,) = language_model.asked[before:]
    assert question["model"] == "reason1-7b"
    assert language_model.heads[-1]["Authorization"] == "Bearer sesame"
    assert question["messages"][1]["content"][0]["text"] == "a ball rolls"
    assert task_of(second, "upsample_prompt")["memo"]
    # The embedding is that of a client who wrote the same words.
    written = stack.make(prompt=LONG, input_reference=picture, seed=1, **FAST)
    assert task_of(written, "encode_text")["outputs"] == task_of(first, "encode_text")["outputs"]
    assert stack.content(written["id"]) == stack.content(first["id"])
    for log in (stack.home / "logs").glob("*.log"):
        assert "ball rolls" not in log.read_text(errors="replace"), log
        assert "sesame" not in log.read_text(errors="replace"), log


def test_a_prompt_that_may_not_be_made_is_not_let_through_by_the_language_model(
    stack: Stack, language_model: LanguageModel
) -> None:
    language_model.answer = lambda _: saying("a nude robot")
    job = stack.make(prompt="a robot alone", prompt_upsampling=True, **FAST)
    assert (job["upsampled_prompt"], job["upsampling"]["outcome"]) == ("a robot alone", "original")
    verdict = task_of(job, "guard_upsampled")["outputs"]["verdict"]["digest"]
    found = json.loads((stack.home / "artifacts" / "sha256" / verdict[:2] / verdict).read_text())
    assert found["upsampled_prompt"]["allowed"] is False
