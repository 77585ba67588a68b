"""Captions: a scene in words, in several phrasings. `meaning` reads them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from orrery.miniature.scenes import Scene, Thing
from orrery.miniature.vocabulary import Motion

VERBS: dict[Motion, tuple[str, ...]] = {
    Motion.RIGHT: ("moves right", "moves to the right", "slides to the right"),
    Motion.LEFT: ("moves left", "moves to the left", "slides to the left"),
    Motion.UP: ("moves up", "moves upward", "rises"),
    Motion.DOWN: ("moves down", "moves downward", "sinks"),
    Motion.STILL: ("stays still", "does not move", "rests"),
    Motion.CIRCLE: ("moves in a circle", "goes around in a circle", "circles"),
    Motion.BOUNCE: ("bounces", "bounces up and down", "jumps up and down"),
    Motion.GROW: ("grows", "gets bigger", "grows larger"),
}

FORMS: tuple[Callable[[str, str], str], ...] = (
    lambda things, background: f"{things} on a {background} background.",
    lambda things, background: f"On a {background} background, {things}.",
    lambda things, background: f"{things}. The background is {background}.",
    lambda things, background: f"{things} in front of a {background} wall.",
)


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the ways to say what happens; sizes are left out in a third of the cases."""
    sized = bool(rng.random() < 2 / 3)
    clauses = [_clause(thing, rng, sized=sized) for thing in scene.things]
    text = FORMS[int(rng.integers(len(FORMS)))](_joined(clauses), scene.background)
    return text[0].upper() + text[1:]


def plain_caption(scene: Scene) -> str:
    """The first phrasing: no sizes, every time the same."""
    clauses = [f"{_article(f'{thing.colour} {thing.shape}')} {VERBS[thing.motion][0]}" for thing in scene.things]
    text = FORMS[0](_joined(clauses), scene.background)
    return text[0].upper() + text[1:]


def _clause(thing: Thing, rng: np.random.Generator, *, sized: bool) -> str:
    size = f"{thing.size} " if sized and thing.size != "medium" else ""
    verbs = VERBS[thing.motion]
    return f"{_article(f'{size}{thing.colour} {thing.shape}')} {verbs[int(rng.integers(len(verbs)))]}"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _joined(clauses: list[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
