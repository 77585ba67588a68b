"""Words of a folded text, and the other words that each may stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from orrery.guardrails.folding import unmask

LEET_SYMBOLS = str.maketrans("@$!+", "asit")
LEET_DIGITS = str.maketrans("03457", "oeast")
READINGS_OF_ONE = ("i", "l")

_WORD = re.compile(r"[^\W_]+")
_SYMBOLED = re.compile(r"(?<![^\W_]|[@$!+])[^\W_@$!+]*[@$!+](?:[^\W_]|[@$!+])*")
_SPELLED = re.compile(r"(?<![^\W_])[^\W\d_]([ .\-_*/|]{1,2})[^\W\d_](?:\1[^\W\d_])+(?![^\W_])")
_STRETCHED = re.compile(r"([^\W_])\1{2,}")


class Word(NamedTuple):
    """`readings` are the words that this stretch of the text may be read as, the literal one first."""

    start: int
    end: int
    readings: tuple[str, ...]


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def plain_words(text: str) -> list[Word]:
    """Every word in order, each also without its digits in place of letters, foreign look-alikes and stretched letters."""
    plain = text.isascii() and not _STRETCHED.search(text)  # asked once, because nearly every text is
    return [
        Word(*m.span(), (raw,) if plain and raw.isalpha() else _readings(raw)) for m in _WORD.finditer(text) if (raw := m[0])
    ]


def disguised_words(text: str) -> Iterator[Word]:
    """Words that only exist if signs are read as letters ("$h!t"), or are spelled letter by letter ("f.u.c.k")."""
    for match in _SYMBOLED.finditer(text):
        raw = match[0].rstrip("@!+")  # at the end they punctuate
        if any(c.isalpha() for c in raw):
            yield Word(match.start(), match.start() + len(raw), _readings(raw.translate(LEET_SYMBOLS)))
    for match in _SPELLED.finditer(text):
        word = "".join(words_of(match[0]))
        if len(set(word)) > 1:  # "x x x" is a row of marks
            yield Word(match.start(), match.end(), (unmask(word),))


def _readings(raw: str) -> tuple[str, ...]:
    if raw.isascii() and raw.isalpha() and not _STRETCHED.search(raw):
        return (raw,)
    return tuple(dict.fromkeys(_disguises(raw)))


def _disguises(raw: str) -> Iterator[str]:
    yield raw
    word = unmask(raw)
    yield word
    # One letter among digits is a name (A55, T5, 4K), not a word in disguise.
    if not word.isalpha() and sum(c.isalpha() for c in word) > 1:
        word = word.translate(LEET_DIGITS)
        yield from (word.replace("1", letter) for letter in READINGS_OF_ONE)
    if _STRETCHED.search(word):
        yield from (_STRETCHED.sub(kept, word) for kept in (r"\1", r"\1\1"))
