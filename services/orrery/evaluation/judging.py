"""Whether a clip shows what was asked for. First it is seen what the clip shows; only then is that compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orrery.evaluation.motions import motion_of
from orrery.evaluation.quality import flicker, jitter
from orrery.evaluation.quality import psnr as psnr_of
from orrery.evaluation.regions import Floats, Frames
from orrery.evaluation.shapes import shape_of
from orrery.evaluation.sight import PRESENT, Seen, look
from orrery.miniature.vocabulary import SIDE, Motion, Shape

ATTRIBUTES = ("colour", "shape", "direction", "background")
_FEWEST_FRAMES = 9


class AskedThing(Protocol):
    @property
    def colour(self) -> str: ...
    @property
    def shape(self) -> Shape: ...
    @property
    def motion(self) -> Motion: ...


class Asked(Protocol):
    """What a clip should show; `orrery.miniature.scenes.Scene` is one. No two things have the same colour."""

    @property
    def background(self) -> str: ...
    @property
    def things(self) -> Sequence[AskedThing]: ...


@dataclass(frozen=True)
class SeenThing:
    """One object of a clip. `shape` and `motion` are None where they are none that scenes have, or change."""

    colour: str
    shape: Shape | None
    motion: Motion | None
    share: float
    """Of the frames, those in which it is seen."""
    area: float
    """Pixels, the mean."""
    jitter: float


@dataclass(frozen=True)
class SeenClip:
    background: str | None
    things: tuple[SeenThing, ...]
    flicker: float


@dataclass(frozen=True)
class ThingVerdict:
    """What is right about one thing that was asked for. Where its colour is not seen, nothing is."""

    colour: bool
    shape: bool
    direction: bool
    seen: SeenThing | None


@dataclass(frozen=True)
class Verdict:
    """Of one clip. `things` are in the order of those asked for, `extra` are objects that nobody asked for."""

    background: bool
    things: tuple[ThingVerdict, ...]
    extra: tuple[SeenThing, ...]
    seen: SeenClip
    psnr: float | None
    """Decibels of the conditioning frames, if there were any."""

    @property
    def right(self) -> dict[str, bool]:
        """Each of `ATTRIBUTES`: whether it is right of every thing; colour, also whether there is nothing else."""
        return {
            "colour": all(thing.colour for thing in self.things) and not self.extra,
            "shape": all(thing.shape for thing in self.things),
            "direction": all(thing.direction for thing in self.things),
            "background": self.background,
        }


def judge(frames: Frames, asked: Asked, given: Frames | None = None) -> Verdict:
    """The verdict on uint8 frames [F, 96, 96, RGB]. `given` are the clip's conditioning frames, as they were sent.

    Raises ValueError for frames of another form.
    """
    return compared(seen_in(frames), asked, None if given is None else psnr_of(frames, given))


def compared(seen: SeenClip, asked: Asked, psnr: float | None = None) -> Verdict:
    """The verdict on what has been seen."""
    things = tuple(_verdict(thing, seen) for thing in asked.things)
    matched = [thing.seen for thing in things]
    return Verdict(
        background=seen.background == asked.background,
        things=things,
        extra=tuple(thing for thing in seen.things if not any(thing is one for one in matched)),
        seen=seen,
        psnr=psnr,
    )


def seen_in(frames: Frames) -> SeenClip:
    """What the clip shows. Raises ValueError for frames that are not uint8 [F, 96, 96, RGB], nine at least."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (SIDE, SIDE, 3) or len(frames) < _FEWEST_FRAMES:
        raise ValueError(
            f"frames must be uint8 [{_FEWEST_FRAMES} or more, {SIDE}, {SIDE}, 3], not {frames.dtype} {frames.shape}"
        )
    sight = look(frames)
    return SeenClip(sight.background, tuple(map(_described, sight.objects)), flicker(frames, sight.rest))


def _described(seen: Seen) -> SeenThing:
    covers = seen.cover[seen.there]
    x, y, area = _track(covers)
    steady = seen.share >= PRESENT
    return SeenThing(
        colour=seen.colour,
        shape=shape_of(covers) if steady else None,
        motion=motion_of(x, y, area) if steady else None,
        share=seen.share,
        area=float(area.mean()),
        jitter=jitter(x, y) if steady else 0.0,
    )


def _track(covers: Floats) -> tuple[NDArray[np.float64], ...]:
    """Centre and area in each frame."""
    area = covers.sum(axis=(1, 2))
    places = np.arange(SIDE) + 0.5
    return covers.sum(axis=1) @ places / area, covers.sum(axis=2) @ places / area, area


def _verdict(asked: AskedThing, clip: SeenClip) -> ThingVerdict:
    """The largest object of the colour is taken for the thing."""
    candidates = [thing for thing in clip.things if thing.colour == asked.colour and thing.share >= PRESENT]
    if not candidates:
        return ThingVerdict(colour=False, shape=False, direction=False, seen=None)
    seen = max(candidates, key=lambda thing: thing.area)
    return ThingVerdict(colour=True, shape=seen.shape == asked.shape, direction=seen.motion == asked.motion, seen=seen)
