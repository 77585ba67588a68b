"""The block list: whole words and phrases, found through disguise, excused by context."""

from __future__ import annotations

from collections.abc import Container, Iterator
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
        self.version = lists.digest

    @classmethod
    def packaged(cls) -> BlockList:
        """The lists that come with Orrery."""
        return cls(packaged())

    def matches(self, text: str) -> tuple[Match, ...]:
        folded = fold(text)
        words = plain_words(folded.text)
        excused = [span for span, _ in self._find(words, self._lists.excused)]
        found = {
            span: self._lists.blocked[key]
            for source in (words, *([word] for word in disguised_words(folded.text)))
            for span, key in self._find(source, self._lists.blocked)
            if not any(start <= span[0] and span[1] <= end for start, end in excused)
        }
        return tuple(_match(text, folded, span, term) for span, term in sorted(found.items(), key=lambda item: item[0]))

    def _find(self, words: list[Word], phrases: Container[Words]) -> Iterator[tuple[Span, Words]]:
        """Every run of whole words that is one of `phrases`."""
        for index, word in enumerate(words):
            lengths = {n for reading in word.readings for n in self._lengths_by_first.get(reading, ())}
            for length in lengths:
                run = words[index : index + length]
                for key in product(*(w.readings for w in run)):
                    if key in phrases:
                        yield (word.start, run[-1].end), key


def _lengths_by_first(phrases: list[Words]) -> dict[str, frozenset[int]]:
    """Of the phrases that begin with a word: how many words they have."""
    lengths: dict[str, frozenset[int]] = {}
    for words in phrases:
        lengths[words[0]] = lengths.get(words[0], frozenset()) | {len(words)}
    return lengths


def _match(text: str, folded: Folded, span: Span, term: Term) -> Match:
    start, end = folded.origin[span[0]], folded.origin[span[1] - 1] + 1
    return Match(check=CHECK, list=term.list, term=term.term, start=start, end=end, text=text[start:end])
