"""Captions say what happens, in every phrasing, and can be read back."""

from __future__ import annotations

import numpy as np
import pytest

from orrery.miniature.captions import VERBS, caption, plain_caption
from orrery.miniature.meaning import meaning
from orrery.miniature.scenes import Scene, held_out_scene
from orrery.miniature.vocabulary import BACKGROUNDS, Motion, Shape

SCENES = [held_out_scene(11, index) for index in range(150)]


def named(scene: Scene) -> list[tuple[str, Shape, Motion]]:
    return [(thing.colour, thing.shape, thing.motion) for thing in scene.things]


@pytest.mark.parametrize("seed", range(4))
def test_every_caption_means_its_scene(seed: int) -> None:
    for scene in SCENES:
        text = caption(scene, np.random.default_rng(seed))
        read = meaning(text)
        assert (read.background, [(t.colour, t.shape, t.motion) for t in read.things]) == (scene.background, named(scene)), text
        sizes = [(thing.size, said.size) for thing, said in zip(scene.things, read.things, strict=True)]
        assert all(said in (None, size) for size, said in sizes), text


def test_the_plain_caption_means_its_scene_and_is_always_the_same() -> None:
    for scene in SCENES:
        read = meaning(plain_caption(scene))
        assert (read.background, [(t.colour, t.shape, t.motion) for t in read.things]) == (scene.background, named(scene))
        assert {thing.size for thing in read.things} == {None}


def test_every_phrasing_occurs() -> None:
    texts = [caption(scene, np.random.default_rng([3, index])) for index, scene in enumerate(SCENES * 4)]
    together = " ".join(texts).lower()
    assert [verb for verbs in VERBS.values() for verb in verbs if f" {verb}" not in together] == []
    endings = ("on a {} background.", "the background is {}.", "in front of a {} wall.", "on a {} background,")
    assert all(any(ending.format(place) in together for place in BACKGROUNDS) for ending in endings)


def test_most_captions_of_small_and_large_things_say_so() -> None:
    scenes = [scene for scene in SCENES if scene.things[0].size != "medium"]
    said = [meaning(caption(scene, np.random.default_rng([4, i]))).things[0].size for i, scene in enumerate(scenes)]
    assert 0.5 < np.mean([size is not None for size in said]) < 0.85


def test_captions_are_english_sentences() -> None:
    for index, scene in enumerate(SCENES):
        text = caption(scene, np.random.default_rng([5, index]))
        assert text[0].isupper()
        assert text.endswith(".")
        assert "a orange" not in text.lower()
        assert "an red" not in text.lower()


@pytest.mark.parametrize(
    "text", ["A robot arm stacks boxes.", "A red circle moves right.", "On a gray background, a dog barks."]
)
def test_what_is_no_caption_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="this names no"):
        meaning(text)
