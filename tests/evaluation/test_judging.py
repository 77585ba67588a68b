"""The judge calls true what is true, through blur, noise and H.264, and false what is false, however near it comes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import cycle

import numpy as np
import pytest

from evaluation.clips import SPOILS
from orrery.evaluation.judging import ATTRIBUTES, Verdict, compared, judge, seen_in
from orrery.evaluation.quality import SAME
from orrery.evaluation.regions import Frames
from orrery.miniature import drawing
from orrery.miniature.motions import PLACERS, Track
from orrery.miniature.scenes import MARGIN, Scene, Thing, held_out_scene, recoloured
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, FRAMES, SIDE, Motion, Shape

BAR = 0.98


def thing(
    colour: str = "red", shape: Shape = Shape.SQUARE, motion: Motion = Motion.RIGHT, radius: float = 10.5, seed: int = 0
) -> Thing:
    return Thing(colour, shape, motion, "medium", PLACERS[motion](np.random.default_rng(seed), radius, MARGIN))


def still_at(x: float, y: float, colour: str = "red", shape: Shape = Shape.SQUARE, radius: float = 9.0) -> Thing:
    track = Track(np.full(FRAMES, x), np.full(FRAMES, y), np.full(FRAMES, radius))
    return Thing(colour, shape, Motion.STILL, "medium", track)


def wrong(verdict: Verdict) -> set[str]:
    return {name for name, right in verdict.right.items() if not right}


@cache
def clip(index: int) -> tuple[Scene, Frames]:
    scene = held_out_scene(17, index)
    return scene, drawing.frames(scene)


@pytest.mark.parametrize(("spoil", "count"), list(zip(SPOILS, (60, 60, 25, 25, 25, 60), strict=True)))
def test_real_clips_are_called_right(spoil: str, count: int) -> None:
    right = [judge(SPOILS[spoil](clip(i)[1], i), clip(i)[0]).right for i in range(count)]
    assert {name: np.mean([each[name] for each in right]) >= BAR for name in ATTRIBUTES} == dict.fromkeys(ATTRIBUTES, True)


@pytest.mark.parametrize("motion", Motion)
@pytest.mark.parametrize("shape", Shape)
def test_every_shape_in_every_motion_is_recognised(shape: Shape, motion: Motion) -> None:
    for colour, background, radius in zip(COLOURS, cycle(BACKGROUNDS), cycle((8.5, 10.5, 13.0)), strict=False):
        scene = Scene(background, (thing(colour, shape, motion, radius),))
        assert wrong(judge(drawing.frames(scene), scene)) == set()


def test_each_wrong_word_of_a_caption_is_found_and_nothing_else() -> None:
    for index in range(30):
        scene, frames = clip(index)
        seen, first = seen_in(frames), scene.things[0]
        for shape in set(Shape) - {first.shape}:
            assert wrong(compared(seen, _with(scene, replace(first, shape=shape)))) == {"shape"}
        for motion in set(Motion) - {first.motion}:
            assert wrong(compared(seen, _with(scene, replace(first, motion=motion)))) == {"direction"}
        for place in set(BACKGROUNDS) - {scene.background}:
            assert wrong(compared(seen, Scene(place, scene.things))) == {"background"}
        for colour in set(COLOURS) - {each.colour for each in scene.things}:
            assert wrong(compared(seen, recoloured(scene, 0, colour))) == {"colour", "shape", "direction"}


def _with(scene: Scene, first: Thing) -> Scene:
    return Scene(scene.background, (first, *scene.things[1:]))


def test_a_thing_too_many_is_a_wrong_colour() -> None:
    asked = Scene("gray", (still_at(30, 30),))
    more = Scene("gray", (*asked.things, still_at(70, 70, "blue")))
    verdict = judge(drawing.frames(more), asked)
    assert wrong(verdict) == {"colour"}
    assert [each.colour for each in verdict.extra] == ["blue"]
    assert verdict.things[0].colour


def test_two_things_of_the_same_colour_are_one_too_many() -> None:
    asked = Scene("gray", (still_at(30, 30),))
    twice = Scene("gray", (*asked.things, still_at(70, 70, radius=7.0)))
    verdict = judge(drawing.frames(twice), asked)
    assert wrong(verdict) == {"colour"}
    assert [each.colour for each in verdict.extra] == ["red"]


def test_a_thing_too_few_has_nothing_right() -> None:
    both = Scene("white", (still_at(30, 30), still_at(70, 70, "blue")))
    verdict = judge(drawing.frames(Scene("white", both.things[:1])), both)
    assert wrong(verdict) == {"colour", "shape", "direction"}
    assert [each.seen is None for each in verdict.things] == [False, True]


def test_what_changes_on_the_way_is_not_what_was_asked_for() -> None:
    def joined(one: Thing, other: Thing, background: str = "black") -> Frames:
        first, second = (drawing.frames(Scene(place, (each,))) for each, place in ((one, "black"), (other, background)))
        return np.concatenate([first[:16], second[16:]])

    square = still_at(48, 48)
    asked = Scene("black", (square,))
    assert wrong(judge(joined(square, still_at(48, 48, "blue")), asked)) == {"colour", "shape", "direction"}
    assert wrong(judge(joined(square, still_at(48, 48, shape=Shape.CROSS)), asked)) == {"shape"}
    assert wrong(judge(joined(square, square, "brown"), asked)) >= {"background"}
    assert wrong(judge(joined(square, still_at(75, 48)), asked)) == {"direction"}


def test_a_jump_is_no_motion() -> None:
    asked = Scene("gray", (thing(motion=Motion.RIGHT),))
    left, right = (drawing.frames(Scene("gray", (still_at(x, 48, radius=10.5),))) for x in (25, 65))
    assert wrong(judge(np.concatenate([left[:16], right[16:]]), asked)) == {"direction"}


def test_motion_backwards_is_another_motion() -> None:
    for motion, opposite in ((Motion.RIGHT, Motion.LEFT), (Motion.UP, Motion.DOWN)):
        scene = Scene("gray", (thing(motion=motion),))
        backwards = drawing.frames(scene)[::-1]
        assert wrong(judge(backwards, scene)) == {"direction"}
        assert seen_in(backwards).things[0].motion is opposite
    growing = Scene("gray", (thing(motion=Motion.GROW),))
    assert seen_in(drawing.frames(growing)[::-1]).things[0].motion is None


def test_half_a_motion_is_none() -> None:
    for motion in set(Motion) - {Motion.STILL}:
        scene = Scene("white", (thing(motion=motion),))
        halted = np.concatenate([drawing.frames(scene)[:14], np.repeat(drawing.frames(scene)[13:14], 19, axis=0)])
        assert wrong(judge(halted, scene)) == {"direction"}


def test_stretched_shapes_are_none() -> None:
    frames = drawing.frames(Scene("gray", (still_at(48, 48, shape=Shape.CIRCLE),)))
    wide = np.repeat(frames, 2, axis=2)[:, :, SIDE // 2 : SIDE // 2 + SIDE]
    assert seen_in(wide).things[0].shape is None


@pytest.mark.parametrize(
    "frames",
    [
        np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8),
        np.tile(np.linspace(0, 255, SIDE).astype(np.uint8)[None, None, :, None], (FRAMES, SIDE, 1, 3)),
        np.full((FRAMES, SIDE, SIDE, 3), COLOURS["red"], dtype=np.uint8),
    ],
    ids=["noise", "a gradient", "all red"],
)
def test_nothing_is_right_where_nothing_is_shown(frames: Frames) -> None:
    scene = Scene("gray", (still_at(48, 48),))
    assert wrong(judge(frames, scene)) == set(ATTRIBUTES)


def test_only_the_background_is_right_of_an_empty_clip() -> None:
    scene = Scene("gray", (still_at(48, 48),))
    empty = np.full((FRAMES, SIDE, SIDE, 3), BACKGROUNDS["gray"], dtype=np.uint8)
    assert wrong(judge(empty, scene)) == {"colour", "shape", "direction"}


def test_conditioning_frames_are_compared_with_those_given() -> None:
    scene, frames = clip(0)
    assert judge(frames, scene).psnr is None
    assert judge(frames, scene, frames[:1]).psnr == SAME
    off = np.where(frames[:1] > 127, frames[:1] - 10, frames[:1] + 10).astype(np.uint8)
    assert judge(frames, scene, off).psnr == pytest.approx(20 * np.log10(255 / 10))


def test_flicker_and_jitter_are_those_of_the_clip() -> None:
    scene = Scene("gray", (thing(motion=Motion.RIGHT),))
    frames = drawing.frames(scene)
    calm = judge(frames, scene).seen
    assert calm.flicker == 0
    assert calm.things[0].jitter < 0.05
    flashing = frames.copy()
    flashing[::2] += 4
    assert judge(flashing, scene).seen.flicker == pytest.approx(4)
    shaking = np.stack([np.roll(frame, 3 * (index % 2), axis=0) for index, frame in enumerate(frames)])
    assert judge(shaking, scene).seen.things[0].jitter == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((FRAMES, 48, 48, 3), dtype=np.uint8),
        np.zeros((FRAMES, SIDE, SIDE, 3), dtype=np.float32),
        np.zeros((4, SIDE, SIDE, 3), dtype=np.uint8),
        np.zeros((SIDE, SIDE, 3), dtype=np.uint8),
    ],
)
def test_frames_of_another_form_are_refused(frames: Frames) -> None:
    with pytest.raises(ValueError, match="frames must be uint8"):
        judge(frames, clip(0)[0])
