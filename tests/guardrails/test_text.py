"""The text guardrail: what it finds through disguise, and what it leaves in peace."""

from __future__ import annotations

import time

import pytest

from guardrails.prompts import AROUND_THE_HOUSE, DRIVING, ROBOTICS
from orrery.guardrails import CHECKS, Match, check_text
from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.predict2 import NEGATIVE_PROMPT


@pytest.mark.parametrize("prompt", [*ROBOTICS, *DRIVING, *AROUND_THE_HOUSE])
def test_ordinary_prompts_pass(prompt: str) -> None:
    assert check_text(prompt).matches == ()


def test_the_shipped_negative_prompts_pass() -> None:
    shipped = [spec.default_negative_prompt for m in CATALOG.values() for spec in (m.image, m.world) if spec]
    assert NEGATIVE_PROMPT in shipped
    for prompt in [*shipped, "bleeding, lifeless, dead, bloody, ugly", "nsfw, nudity, gore"]:
        assert check_text(prompt).matches == ()


@pytest.mark.parametrize(
    "text",
    [
        "Scunthorpe, Penistone, Sussex and Middlesex",
        "assess, bass, class, grass, passenger, assemble, cassette",
        "cockpit, peacock, cocktail, Hancock, woodcock, hitchcock",
        "Dickens, raccoon, cucumber, document, Titanic, title, analysis, canal, therapist, grape, drape, scrape",
        "he'll, we'll, shell; who're you; an I'd, a U.S. road",
        "A55, M5, T5, 4K, H264, MP4, x5, 3D, 1080p, C3PO, R2D2, US$5, C++, stop!!! @home +5 $100",
        "x x x, - - -, X X X, a b c",
        "Москва, сосна, река, роса, уха",
        "naïve café Zürich Malmö Größe façade",
    ],
)
def test_words_inside_words_and_names_pass(text: str) -> None:
    assert check_text(text).matches == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a shit road", "shit"),
        ("a SHIT road", "SHIT"),
        ("shit.", "shit"),
        ("“shit”", "shit"),
        ("a ｓｈｉｔ road", "ｓｈｉｔ"),
        ("a 𝐬𝐡𝐢𝐭 road", "𝐬𝐡𝐢𝐭"),
        ("a ⓢⓗⓘⓣ road", "ⓢⓗⓘⓣ"),
        ("a s\u200bh\u200bi\u200dt road", "s\u200bh\u200bi\u200dt"),
        ("a s\u00adhit road", "s\u00adhit"),
        ("a s\u0336h\u0336i\u0336t\u0336 road", "s\u0336h\u0336i\u0336t"),
        ("a shít road", "shít"),
        ("a ѕhіt road", "ѕhіt"),
        ("a sh1t road", "sh1t"),
        ("a $h!t road", "$h!t"),
        ("a 5h1t road", "5h1t"),
        ("a shiiiiit road", "shiiiiit"),
        ("a s.h.i.t road", "s.h.i.t"),
        ("a s-h-i-t road", "s-h-i-t"),
        ("a_shit_road", "shit"),
        ("the s_h_i_t", "s_h_i_t"),
    ],
)
def test_disguises_are_seen_through_and_the_evidence_points_at_them(text: str, found: str) -> None:
    (match,) = check_text(text).matches
    assert match.term == "shit"
    assert text[match.start : match.end] == match.text == found


def test_a_verdict_holds_its_evidence_and_the_checks_that_ran() -> None:
    verdict = check_text("the hand of a nude child")
    assert not verdict.allowed
    assert verdict.matches == (
        Match(check="blocklist", list="better-profanity", term="nude", start=14, end=18, text="nude"),
        Match(check="blocklist", list="orrery/minors", term="nude child", start=14, end=24, text="nude child"),
    )
    blocklist, classifier = verdict.checks
    assert (blocklist.name, blocklist.ran, len(blocklist.version or "")) == ("blocklist", True, 64)
    assert (classifier.name, classifier.ran, classifier.reason) == ("classifier", False, "not installed")


def test_a_phrase_may_excuse_a_word_that_is_refused_elsewhere() -> None:
    assert check_text("the gripper fills the grease nipple").allowed
    (match,) = check_text("a grease nipple and a nipple").matches
    assert match.start == 22


def test_phrases_are_found_over_any_white_space() -> None:
    (match,) = check_text("they commit\n  suicide").matches
    assert match.term == "commit suicide"
    assert check_text("a car with suicide doors").allowed


def test_a_classifier_fits_the_slot() -> None:
    class Always:
        version = "always-1"

        def matches(self, text: str) -> tuple[Match, ...]:
            return (Match(check="classifier", list="violence", term="", start=0, end=len(text), text=text),)

    verdict = check_text("a quiet lake", CHECKS | {"classifier": Always})
    assert not verdict.allowed
    assert [(check.name, check.ran) for check in verdict.checks] == [("blocklist", True), ("classifier", True)]


@pytest.mark.parametrize("text", ["", " ", "!!!", "\u200b", "a" * 20_000, "@" * 20_000, "a." * 10_000, "1" * 20_000])
def test_nothing_takes_long_to_read(text: str) -> None:
    check_text("warm up")
    started = time.thread_time()
    assert check_text(text).allowed
    assert time.thread_time() - started < 0.5
