"""The packaged lists, read and joined: what is refused, and what of it is ordinary speech about worlds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from importlib.resources import files
from pathlib import Path

from orrery.guardrails.folding import fold
from orrery.guardrails.words import LEET_SYMBOLS, words_of

PROFANITY = "better-profanity"
PROJECT = "orrery"
SHORTEST_WITH_PLURAL = 4

Words = tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """An entry of a list; `words` is what has to stand in a text, one whole word after the other."""

    list: str
    term: str
    words: Words


@dataclass(frozen=True)
class WordLists:
    """`blocked` by words. `excused` phrases make the blocked words inside them harmless ("grease nipple").

    `spared` are the entries that would be blocked were they not excused themselves.
    """

    blocked: dict[Words, Term]
    excused: frozenset[Words]
    spared: dict[Words, Term] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        lines = [f"{t.list}\t{' '.join(words)}" for words, t in self.blocked.items()]
        listing = "\n".join([*sorted(lines), "", *sorted(" ".join(words) for words in self.excused)])
        return hashlib.sha256(listing.encode()).hexdigest()


def packaged() -> WordLists:
    """better-profanity's list and the project's, without what the allow list names."""
    allowed = {form for line in _lines(_read_own("allowlist.txt")) for form in _forms(_words(line))}
    terms = [*_profanity(), *_project()]
    kept = [term for term in terms if term.words not in allowed]
    blocked = {words: term for term in kept for words in _forms(term.words) if words not in allowed}
    spared = {words: term for term in terms for words in _forms(term.words) if words not in blocked}
    return WordLists(blocked=blocked, excused=frozenset(allowed), spared=spared)


def _profanity() -> list[Term]:
    # Found by its metadata: importing the package would build its tables of spellings, which nothing here uses.
    path = metadata.distribution("better-profanity").locate_file("better_profanity/profanity_wordlist.txt")
    entries = _lines(Path(str(path)).read_text(encoding="utf-8"))
    return [Term(PROFANITY, entry, _words(entry)) for entry in entries if not _spelled_out(entry)]


def _project() -> list[Term]:
    """`[section]` lines name the category of the entries after them."""
    section = ""
    terms = []
    for line in _lines(_read_own("blocklist.txt")):
        if line.startswith("["):
            section = line.strip("[]")
        else:
            terms.append(Term(f"{PROJECT}/{section}", line, _words(line)))
    return terms


def _forms(words: Words) -> tuple[Words, ...]:
    """The words, and their plural; short words have none, because "len" and "nad" are not "lens" and "nads"."""
    if len(words[-1]) < SHORTEST_WITH_PLURAL or words[-1].endswith("s"):
        return (words,)
    return words, (*words[:-1], words[-1] + "s")


def _words(entry: str) -> Words:
    return tuple(words_of(fold(entry).text.translate(LEET_SYMBOLS)))


def _spelled_out(entry: str) -> bool:
    """Entries like "s.o.b.": matching finds spelled-out words by itself, and "sob" alone is a plain verb."""
    return all(len(word) == 1 for word in _words(entry))


def _read_own(name: str) -> str:
    return (files("orrery.guardrails") / name).read_text(encoding="utf-8")


def _lines(text: str) -> list[str]:
    """Entries without comments and empty lines."""
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]
