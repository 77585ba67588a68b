"""Numbers out of verdicts: shares with Wilson's interval, groups, and what chance gives."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from orrery.evaluation.judging import ATTRIBUTES, seen_in
from orrery.evaluation.prompts import Prompt, held_out_prompts
from orrery.evaluation.regions import Frames
from orrery.evaluation.running import Result, Terms, evaluate
from orrery.evaluation.scores import Share, chance, clip_record, other_captions, perfect_sight, report
from orrery.miniature import drawing
from orrery.miniature.meaning import meaning
from orrery.miniature.scenes import HELD_OUT, held_out_scene

PROMPTS = held_out_prompts(24, 5)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Of a maker that gets every fourth clip wrong: it draws the one after it."""
    return evaluate(PROMPTS, maker(lambda index: index + (index % 4 == 3)), Terms())


def maker(which: Callable[[int], int]) -> Callable[..., Frames]:
    def make(prompt: str, first_frame: Frames | None, *, seed: int, steps: int | None, sampler: str | None) -> Frames:
        return drawing.frames(held_out_scene(5, which(seed)))

    return make


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 1), (190, 200), (97, 130)])
def test_the_interval_is_wilsons(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert Share(right, n).interval == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_prompts_are_fixed_by_the_seed_and_held_out() -> None:
    assert [prompt.text for prompt in held_out_prompts(24, 5)] == [prompt.text for prompt in PROMPTS]
    assert [prompt.text for prompt in held_out_prompts(8, 5)] == [prompt.text for prompt in PROMPTS[:8]]
    assert held_out_prompts(4, 6)[0].text != PROMPTS[0].text
    for prompt in PROMPTS:
        assert prompt.scene.combinations[0] in HELD_OUT
        assert [thing.colour for thing in meaning(prompt.text).things] == [thing.colour for thing in prompt.scene.things]


def test_accuracy_counts_prompts_of_which_everything_is_right(results: list[Result]) -> None:
    found = report(results)
    for name in ATTRIBUTES:
        right = sum(result.verdict.right[name] for result in results)
        assert (found["accuracy"][name]["right"], found["accuracy"][name]["n"]) == (right, 24)
        assert found["accuracy"][name]["accuracy"] == pytest.approx(right / 24, abs=1e-4)
    assert found["accuracy"]["colour"]["right"] in range(18, 22)
    assert found["accuracy"]["all"]["right"] == 18


def test_groups_add_up_to_the_whole(results: list[Result]) -> None:
    found = report(results)
    assert set(found["by_objects"]) == {"1", "2", "3"}
    for name in (*ATTRIBUTES, "all"):
        assert sum(group[name]["n"] for group in found["by_objects"].values()) == 24
        assert sum(group[name]["right"] for group in found["by_objects"].values()) == found["accuracy"][name]["right"]
    things = sum(len(prompt.scene.things) for prompt in PROMPTS)
    for name in ("colour", "shape", "direction"):
        assert found["by_thing"][name]["n"] == things
        assert sum(word["n"] for word in found["by_word"][name].values()) == things
        assert sum(word["right"] for word in found["by_word"][name].values()) == found["by_thing"][name]["right"]
    assert set(found["by_word"]["background"]) == {prompt.scene.background for prompt in PROMPTS}


def test_a_report_is_json(results: list[Result]) -> None:
    whole = report(results) | {"clips": [clip_record(result) for result in results]}
    assert json.loads(json.dumps(whole)) == whole
    assert whole["conditioning_psnr"] is None
    assert [clip["prompt"] for clip in whole["clips"]] == [prompt.text for prompt in PROMPTS]
    assert whole["clips"][0]["right"] == dict.fromkeys(ATTRIBUTES, True)


def test_captions_of_others_fare_as_chance_has_it() -> None:
    scenes = [prompt.scene for prompt in PROMPTS]
    seen = [seen_in(drawing.frames(scene)) for scene in scenes]
    assert other_captions(seen, scenes) == chance(scenes)
    assert 0 < chance(scenes)["background"] < 0.5
    assert max(chance(scenes)[name] for name in ("colour", "shape", "direction")) < 0.25


def test_chance_is_the_mean_over_all_other_captions() -> None:
    scenes = [held_out_scene(1, index) for index in range(60)]
    places = [scene.background for scene in scenes]
    same = [one == other for i, one in enumerate(places) for j, other in enumerate(places) if i != j]
    assert chance(scenes)["background"] == pytest.approx(np.mean(same), abs=1e-4)
    assert other_captions([perfect_sight(scenes[0])], scenes[:1]) == {}


def test_the_conditioning_frame_is_measured_where_there_is_one() -> None:
    given: list[Prompt] = PROMPTS[:2]
    found = report(evaluate(given, maker(lambda index: index), Terms(from_image=True)))
    assert found["conditioning_psnr"] == {"mean": 100.0, "min": 100.0, "max": 100.0}
