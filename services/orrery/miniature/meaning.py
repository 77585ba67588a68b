"""What a caption says: the words' meaning back again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from orrery.miniature.captions import VERBS
from orrery.miniature.vocabulary import BACKGROUNDS, COLOURS, SIZES, Motion, Shape


@dataclass(frozen=True)
class NamedThing:
    """`size` is None where the caption says none."""

    colour: str
    shape: Shape
    motion: Motion
    size: str | None


@dataclass(frozen=True)
class Meaning:
    """`background` and `things` are those of the scene that the caption describes, the things in its order."""

    background: str
    things: tuple[NamedThing, ...]


_MOTIONS = {verb: motion for motion, verbs in VERBS.items() for verb in verbs}


def _any_of(words: Iterable[str]) -> str:
    """The longest first: "bounces up and down" is not "bounces"."""
    return "|".join(sorted(map(str, words), key=len, reverse=True))


_SIZE, _COLOUR, _SHAPE = _any_of(SIZES), _any_of(COLOURS), _any_of(Shape)
_VERB, _PLACE = _any_of(_MOTIONS), _any_of(BACKGROUNDS)
_CLAUSE = re.compile(rf"\ban? (?:(?P<size>{_SIZE}) )?(?P<colour>{_COLOUR}) (?P<shape>{_SHAPE}) (?P<verb>{_VERB})\b")
_BACKGROUND = re.compile(rf"(?:\ba (?P<a>{_PLACE}) (?:background|wall)|background is (?P<b>{_PLACE}))\b")


def meaning(text: str) -> Meaning:
    """What a caption of `captions` says. Raises ValueError for a text that names no background or no thing."""
    lower = text.lower()
    place, things = _BACKGROUND.search(lower), tuple(map(_thing, _CLAUSE.finditer(lower)))
    if place is None or not things:
        raise ValueError(f"this names no {'things' if place else 'background'} that scenes have: {text!r}")
    return Meaning(place["a"] or place["b"], things)


def _thing(clause: re.Match[str]) -> NamedThing:
    return NamedThing(clause["colour"], Shape(clause["shape"]), _MOTIONS[clause["verb"]], clause["size"])
