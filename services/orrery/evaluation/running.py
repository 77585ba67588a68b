"""Has clips made for prompts, by whatever makes them, and judges each as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from orrery.evaluation.judging import Verdict, judge
from orrery.evaluation.prompts import Prompt
from orrery.evaluation.regions import Frames

STILLS = 5
"""Frames of each clip that are kept for looking at."""


class ClipMaker(Protocol):
    """Makes one clip: a server, a pipeline, a loop in this process. Called from as many threads as clips are made at once."""

    def __call__(self, prompt: str, first_frame: Frames | None, *, seed: int, steps: int | None, sampler: str | None) -> Frames:
        """The frames, uint8 [F, 96, 96, RGB]; `first_frame` is [1, 96, 96, RGB]. None: the default steps or sampler."""


@dataclass(frozen=True)
class Terms:
    """How the clips are made. `from_image` gives each prompt's first frame as well."""

    from_image: bool = False
    steps: int | None = None
    sampler: str | None = None


@dataclass(frozen=True, eq=False)
class Result:
    prompt: Prompt
    verdict: Verdict
    stills: Frames
    """`STILLS` frames, evenly spread from the first to the last."""
    seconds: float
    """From asking for the clip to having it."""


def evaluate(
    prompts: Sequence[Prompt],
    make: ClipMaker,
    terms: Terms,
    *,
    concurrency: int = 1,
    ended: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Results in the order of the prompts; `ended` hears of each when it is there, from the calling thread.

    What `make` raises ends the evaluation: a score over fewer prompts would be another one. Clips that are then being made are
    not waited for.
    """
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="clips")
    try:
        found = list(_told(pool, prompts, make, terms, ended))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return sorted(found, key=lambda result: result.prompt.index)


def _told(
    pool: ThreadPoolExecutor, prompts: Sequence[Prompt], make: ClipMaker, terms: Terms, ended: Callable[[Result], None] | None
) -> Iterator[Result]:
    for future in as_completed([pool.submit(_result, prompt, make, terms) for prompt in prompts]):
        result = future.result()
        if ended is not None:
            ended(result)
        yield result


def _result(prompt: Prompt, make: ClipMaker, terms: Terms) -> Result:
    given = prompt.first_frame if terms.from_image else None
    started = time.monotonic()
    frames = make(prompt.text, given, seed=prompt.index, steps=terms.steps, sampler=terms.sampler)
    seconds = time.monotonic() - started
    return Result(prompt, judge(frames, prompt.scene, given), stills_of(frames), seconds)


def stills_of(frames: Frames) -> Frames:
    stills: Frames = frames[np.linspace(0, len(frames) - 1, STILLS).round().astype(int)]
    return stills
