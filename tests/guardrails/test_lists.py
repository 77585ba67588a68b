"""The packaged lists are tidy: nothing idle, nothing twice."""

from __future__ import annotations

from collections import Counter

import pytest

from orrery.guardrails.blocklist import BlockList
from orrery.guardrails.wordlists import WordLists, packaged


def test_every_excused_phrase_excuses_something() -> None:
    lists = packaged()
    everything = BlockList(WordLists(blocked=lists.blocked | lists.spared, excused=frozenset()))
    idle = [" ".join(words) for words in lists.excused if not everything.matches(" ".join(words))]
    assert idle == []


def test_nothing_is_both_refused_and_excused() -> None:
    lists = packaged()
    assert not lists.excused & set(lists.blocked)


def test_the_project_list_has_its_categories() -> None:
    counts = Counter(term.list for term in packaged().blocked.values())
    assert set(counts) == {
        "better-profanity",
        *(f"orrery/{c}" for c in ("minors", "sexual", "gore", "violence", "self-harm", "terror", "hate")),
    }


def test_the_version_is_of_the_lists_content() -> None:
    lists = packaged()
    fewer = WordLists(blocked=dict(list(lists.blocked.items())[1:]), excused=lists.excused)
    assert lists.digest == packaged().digest
    assert lists.digest != fewer.digest


@pytest.mark.parametrize("ordinary", ["lens", "sob", "shi", "nobs", "asses the"])
def test_entries_do_not_reach_beyond_themselves(ordinary: str) -> None:
    found = {match.text for match in BlockList.packaged().matches(ordinary)}
    assert found <= {"asses"}
