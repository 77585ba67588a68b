"""Clips are made for every prompt, several at once where that is asked, and judged as they come."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from orrery.evaluation.prompts import held_out_prompts
from orrery.evaluation.regions import Frames
from orrery.evaluation.running import STILLS, ClipMaker, Result, Terms, evaluate
from orrery.evaluation.sheet import contact_sheet
from orrery.miniature import drawing
from orrery.miniature.scenes import held_out_scene

PROMPTS = held_out_prompts(6, 9)


class Drawer:
    """Draws what is asked for, and remembers how it was asked. Later prompts are ready sooner."""

    def __init__(self, refuses: int | None = None) -> None:
        self.calls: dict[int, tuple[str, Frames | None, int | None, str | None]] = {}
        self.at_once = 0
        self._busy = 0
        self._refuses = refuses
        self._lock = threading.Lock()

    def __call__(self, prompt: str, first_frame: Frames | None, *, seed: int, steps: int | None, sampler: str | None) -> Frames:
        with self._lock:
            self._busy += 1
            self.at_once = max(self.at_once, self._busy)
        time.sleep(0.05 * (len(PROMPTS) - seed))
        with self._lock:
            self._busy -= 1
        if seed == self._refuses:
            raise RuntimeError("the device is gone")
        self.calls[seed] = (prompt, first_frame, steps, sampler)
        return drawing.frames(held_out_scene(9, seed))


def test_the_maker_is_given_the_prompt_and_the_terms() -> None:
    drawer = Drawer()
    make: ClipMaker = drawer
    evaluate(PROMPTS, make, Terms(steps=12, sampler="euler"))
    assert drawer.calls == {prompt.index: (prompt.text, None, 12, "euler") for prompt in PROMPTS}
    assert drawer.at_once == 1


def test_the_first_frame_is_given_where_clips_start_from_an_image() -> None:
    drawer = Drawer()
    results = evaluate(PROMPTS[:2], drawer, Terms(from_image=True))
    for prompt in PROMPTS[:2]:
        frame = drawer.calls[prompt.index][1]
        assert frame is not None
        np.testing.assert_array_equal(frame, drawing.frames(prompt.scene)[:1])
    assert [result.verdict.psnr for result in results] == [100.0, 100.0]


def test_results_come_as_they_end_and_are_given_in_order() -> None:
    told: list[int] = []
    drawer = Drawer()
    results = evaluate(PROMPTS, drawer, Terms(), concurrency=6, ended=lambda result: told.append(result.prompt.index))
    assert drawer.at_once > 1
    assert [result.prompt.index for result in results] == [prompt.index for prompt in PROMPTS]
    assert sorted(told) == [prompt.index for prompt in PROMPTS]
    assert told != sorted(told)
    assert all(all(result.verdict.right.values()) for result in results)
    assert all(result.seconds >= 0.05 for result in results)


def test_a_clip_that_cannot_be_made_ends_the_evaluation_at_once() -> None:
    drawer = Drawer(refuses=1)
    with pytest.raises(RuntimeError, match="the device is gone"):
        evaluate(PROMPTS, drawer, Terms())
    assert set(drawer.calls) <= {0, 2}


def test_who_breaks_off_does_not_wait_for_clips_that_are_being_made() -> None:
    going_on = threading.Event()

    def make(prompt: str, first_frame: Frames | None, *, seed: int, steps: int | None, sampler: str | None) -> Frames:
        if seed:
            going_on.wait(20)
        return drawing.frames(held_out_scene(9, seed))

    def interrupt(result: Result) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        evaluate(PROMPTS, make, Terms(), concurrency=2, ended=interrupt)
    assert time.monotonic() - started < 10
    going_on.set()


def test_the_sheet_shows_frames_prompts_and_verdicts() -> None:
    results = evaluate(PROMPTS[:2], Drawer(), Terms())
    false = Result(results[0].prompt, results[1].verdict, results[0].stills, 1.0)
    right, wrong = (np.asarray(contact_sheet([result])) for result in (results[0], false))
    stills = results[0].stills
    assert stills.shape == (STILLS, 96, 96, 3)
    np.testing.assert_array_equal(stills[[0, -1]], drawing.frames(results[0].prompt.scene)[[0, -1]])
    for index, still in enumerate(stills):
        np.testing.assert_array_equal(right[6:102, 6 + 102 * index : 102 + 102 * index], still)
    assert (right[110:] < 100).any()
    both = np.asarray(contact_sheet(results))
    np.testing.assert_array_equal(both[: len(right)], right)
    assert len(both) > len(right)
    assert wrong.shape == right.shape


def test_ticks_are_green_and_crosses_are_red() -> None:
    result = evaluate(PROMPTS[:1], Drawer(), Terms())[0]
    nothing = evaluate(PROMPTS[:1], lambda *_, **__: np.full((33, 96, 96, 3), 200, dtype=np.uint8), Terms())[0]
    ticks, crosses = (np.asarray(contact_sheet([each]))[:, 515:540].astype(int) for each in (result, nothing))
    green, red = (
        [(s[..., 1] - s[..., 0] > 80).sum() for s in (ticks, crosses)],
        [(s[..., 0] - s[..., 1] > 80).sum() for s in (ticks, crosses)],
    )
    assert (green[0] > 40, green[1], red[0], red[1] > 40) == (True, 0, 0, True)
