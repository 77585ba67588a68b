"""Scenes: the same from the same seed, inside the frame, apart from each other, and never a held-out one in training."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest

from orrery.miniature import drawing
from orrery.miniature.captions import caption
from orrery.miniature.motions import PLACERS, REACH
from orrery.miniature.scenes import (
    HELD_OUT,
    HELD_OUT_SHARE,
    MARGIN,
    Scene,
    held_out_scene,
    overlapping,
    recoloured,
    training_scene,
)
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, SIDE, SIZES, Motion, Shape

TRAINING = [training_scene(3, index) for index in range(400)]
HELD = [held_out_scene(3, index) for index in range(200)]


def digest(scene: Scene) -> str:
    return hashlib.sha256(drawing.frames(scene).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        (training_scene(0, 0), "285d55b19a8d70cd"),
        (training_scene(0, 1), "13502929cb5e13d8"),
        (held_out_scene(0, 0), "24456a7c38dae6dd"),
        (held_out_scene(7, 41), "b0ac9aa628bdac83"),
    ],
)
def test_clips_are_the_ones_that_checkpoints_were_trained_and_scored_on(scene: Scene, expected: str) -> None:
    assert digest(scene) == expected


def test_a_seed_and_an_index_fix_a_scene_and_its_words() -> None:
    again = held_out_scene(3, 5)
    assert digest(again) == digest(HELD[5])
    words = [caption(scene, np.random.default_rng(9)) for scene in (again, HELD[5])]
    assert words[0] == words[1]
    assert len({digest(scene) for scene in (*HELD[:20], *TRAINING[:20], held_out_scene(4, 5))}) == 41


def test_training_never_holds_a_held_out_combination() -> None:
    assert not {combination for scene in TRAINING for combination in scene.combinations} & set(HELD_OUT)


def test_the_first_thing_of_every_test_scene_is_a_held_out_combination() -> None:
    assert all(scene.combinations[0] in HELD_OUT for scene in HELD)


def test_held_out_are_about_their_share_of_all_and_of_every_word() -> None:
    everything = len(COLOURS) * len(Shape) * len(Motion) * len(BACKGROUNDS)
    assert len(HELD_OUT) == pytest.approx(HELD_OUT_SHARE * everything, rel=0.2)
    for place, words in enumerate((COLOURS, Shape, Motion, BACKGROUNDS)):
        assert {combination[place] for combination in HELD_OUT} == set(words)


def test_training_has_seen_every_word_with_every_other() -> None:
    seen = {combination for scene in TRAINING for combination in scene.combinations}
    for one, other in ((0, 1), (1, 2), (2, 3)):
        words = (COLOURS, Shape, Motion, BACKGROUNDS)
        pairs = {(combination[one], combination[other]) for combination in seen}
        assert pairs == set(product(words[one], words[other]))


def test_things_keep_apart() -> None:
    crowds = [scene for scene in TRAINING[:200] + HELD[:50] if len(scene.things) > 1]
    assert {len(scene.things) for scene in crowds} == {2, 3}
    assert not any(overlapping(scene) for scene in crowds)
    for scene in crowds:
        assert np.all(np.count_nonzero(drawing.covers(scene), axis=1) <= 1)
        assert len({thing.colour for thing in scene.things}) == len(scene.things)


@pytest.mark.parametrize("motion", Motion)
@pytest.mark.parametrize("size", SIZES.values())
def test_a_track_stays_in_the_frame_with_its_margin(motion: Motion, size: float) -> None:
    for seed in range(50):
        track = PLACERS[motion](np.random.default_rng(seed), size, MARGIN)
        room = track.radius * REACH + MARGIN - 1e-9
        assert np.all((track.x >= room) & (track.x <= SIDE - room) & (track.y >= room) & (track.y <= SIDE - room))


def test_nothing_of_a_thing_is_cut_off_but_the_tip_of_a_triangle() -> None:
    """Every object shows its whole area: four times the square of its half-side."""
    for scene in TRAINING[:150]:
        shown = drawing.covers(scene).sum(axis=(2, 3))
        whole = np.stack([4 * thing.track.radius**2 for thing in scene.things], axis=1)
        assert np.all(np.abs(shown / whole - 1) < 0.015), scene


def test_a_recoloured_scene_differs_in_one_colour_only() -> None:
    scene = next(scene for scene in HELD if len(scene.things) == 2)
    colour = next(colour for colour in COLOURS if colour not in {thing.colour for thing in scene.things})
    changed = recoloured(scene, 1, colour)
    assert [thing.colour for thing in changed.things] == [scene.things[0].colour, colour]
    np.testing.assert_array_equal(drawing.segmentation(changed), drawing.segmentation(scene))
