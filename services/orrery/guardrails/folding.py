"""Text as the block list reads it: one alphabet, one case, nothing invisible, and the way back to the original offsets."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

LOOKALIKES = {
    # Cyrillic
    **dict(zip("авсԁеһіјӏмонкрԛѕтԝхуѵ", "abcdehijlmohkpqstwxyv", strict=True)),
    # Greek
    **dict(zip("αβγεικνορτυχϲϳ", "abyeikvoptuxcj", strict=True)),
    # Latin letters that have no decomposition
    **dict(zip("ıłøđħŧɡɑɪʏʀ", "ilodhtgaiyr", strict=True)),
}
"""Letters that are drawn like a Latin one."""


@dataclass(frozen=True)
class Folded:
    """`text` is folded; `origin[i]` is where its character i comes from. One original character may give several or none."""

    text: str
    origin: tuple[int, ...] | range


def fold(text: str) -> Folded:
    """Compatibility forms, case, combining marks and invisible characters are gone; look-alikes are still what they are."""
    if text.isascii():
        return Folded(text.lower(), range(len(text)))
    pieces = [_fold_character(character) for character in text]
    origin = tuple(index for index, piece in enumerate(pieces) for _ in piece)
    return Folded("".join(pieces), origin)


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    # Character by character keeps the offsets; decomposing instead of composing makes that the same as the whole text at once.
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(c for c in decomposed if not _invisible(c))


def _invisible(character: str) -> bool:
    """Combining marks (Mn, Me) and format characters (Cf: zero-width spaces and joiners, soft hyphens, direction marks)."""
    return unicodedata.category(character) in {"Mn", "Me", "Cf"} or character == "\u3164"


def unmask(word: str) -> str:
    """Look-alikes read as Latin, provided the word mixes them with Latin or has nothing else: real Greek and Russian stay."""
    if word.isascii():
        return word
    read = "".join(LOOKALIKES.get(c, c) for c in word)
    return read if read.isascii() else word
