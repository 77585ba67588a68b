"""The block list: whole words and phrases, found through disguise, excused by context."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import product

from orrery.guardrails.folding import Folded, fold
from orrery.guardrails.verdict import Match
from orrery.guardrails.wordlists import Term, WordLists, Words, packaged
from orrery.guardrails.words import Word, disguised_words, plain_words

CHECK = "blocklist"
Span = tuple[int, int]


class BlockList:
    """A `TextCheck` over word lists. `version` is the digest of the lists."""

    def __init__(self, lists: WordLists) -> None:
        self._lists = lists
        self._lengths_by_first = _lengths_by_first([*lists.blocked, *lists.excused])
        self._firsts = frozenset(self._lengths_by_first)
        self.version = lists.digest

    @classmethod
    def packaged(cls) -> BlockList:
        """The lists that come with Orrery."""
        return cls(packaged())

    def matches(self, text: str) -> tuple[Match, ...]:
        folded = fold(text)
        words = plain_words(folded.text)
        starts = [index for index, word in enumerate(words) if not self._firsts.isdisjoint(word.readings)]
        excused = [span for span, _ in self._find(words, starts, self._lists.excused)]
        found = dict(self._find(words, starts, self._lists.blocked))
        for word in disguised_words(folded.text):
            found |= self._find([word], (0,), self._lists.blocked)
        return tuple(
            _match(text, folded, span, self._lists.blocked[key])
            for span, key in sorted(found.items())
            if not any(start <= span[0] and span[1] <= end for start, end in excused)
        )

    def _find(self, words: list[Word], starts: Iterable[int], phrases: Container[Words]) -> Iterator[tuple[Span, Words]]:
        """Every run of whole words from one of `starts` that is one of `phrases`."""
        for index in starts:
            lengths = {n for reading in words[index].readings for n in self._lengths_by_first.get(reading, ())}
            for length in lengths:
                run = words[index : index + length]
                for key in product(*(word.readings for word in run)):
                    if key in phrases:
                        yield (run[0].start, run[-1].end), key


def _lengths_by_first(phrases: list[Words]) -> dict[str, frozenset[int]]:
    """Of the phrases that begin with a word: how many words they have."""
    lengths: dict[str, frozenset[int]] = {}
    for words in phrases:
        lengths[words[0]] = lengths.get(words[0], frozenset()) | {len(words)}
    return lengths


def _match(text: str, folded: Folded, span: Span, term: Term) -> Match:
    start, end = folded.origin[span[0]], folded.origin[span[1] - 1] + 1
    return Match(check=CHECK, list=term.list, term=term.term, start=start, end=end, text=text[start:end])
