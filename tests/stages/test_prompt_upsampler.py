"""The upsampler: what each language model is asked, what is made of its answer, and what follows from its failing."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orrery.stages.prompt_upsampler import CLEANING, PromptUpsampler, question
from orrery.stages.stage import Cancelled, Endpoint, StageSettings, stage_class
from orrery.worlds.errors import ComponentUnusable, UpsamplingFailed
from orrery.worlds.upsampling import TEMPLATES, Fail, Picture, Template, Upsampling, served, template
from stages.language_model import MemoryChat
from stages.setting import PlainCall, clip

PROMPT = "A bus terminal in the city."
CLIP = clip(5, 30, 40)


def upsampler(answer: str | UpsamplingFailed, fail: Fail = Fail.OPEN) -> tuple[PromptUpsampler, MemoryChat]:
    chat = MemoryChat(lambda _: answer)
    settings = StageSettings(models_dir=Path(), upsampler=Endpoint(url="http://none/v1", model="m", fail=fail))
    return PromptUpsampler(settings, chat), chat


def ran(stage: PromptUpsampler, name: str = "upsample-prompt1-12b", **values: Any) -> tuple[Upsampling, bool]:
    answer = stage.run({"component": name, "prompt": PROMPT} | values, PlainCall({}))
    return Upsampling.model_validate_json(answer["upsampling"].tobytes()), answer["passing"]


def shown(content: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The picture of a part of a message."""
    head, _, data = content["image_url"]["url"].partition(",")
    assert (content["type"], head) == ("image_url", "data:image/png;base64")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image)


def test_the_registry_leads_to_it_and_it_wants_an_endpoint() -> None:
    assert stage_class("prompt_upsampler") is PromptUpsampler
    with pytest.raises(ComponentUnusable, match="ORRERY_UPSAMPLER_URL"):
        PromptUpsampler(StageSettings(models_dir=Path()))


def test_predict1_asks_for_a_long_caption_as_its_upsampler_was_trained() -> None:
    asked = question(template("upsample-prompt1-12b"), PROMPT, None)
    assert asked == {
        "messages": [{"role": "user", "content": f"Upsample the short caption to a long caption: {PROMPT}"}],
        "max_tokens": 512,
        "temperature": 0.01,
        "seed": 0,
    }


def test_predict1_shows_pixtral_the_last_frame_and_says_nothing_of_the_prompt() -> None:
    asked = question(template("pixtral-12b"), PROMPT, CLIP)
    (message,) = asked["messages"]
    picture, text = message["content"]
    np.testing.assert_array_equal(shown(picture), CLIP[-1])
    assert text["text"] == (
        "Your task is to transform a given prompt into a refined and concise video description, no more than 150 words.\n"
        "Focus only on the content, no filler words or descriptions on the style. Never mention things outside the video."
    )
    assert (asked["max_tokens"], asked["temperature"], asked["top_p"]) == (400, 0.01, 0.9)


def test_predict2_tells_reason1_how_to_rewrite_and_shows_it_the_picture_after_the_prompt() -> None:
    system, user = question(template("reason1-7b"), PROMPT, CLIP)["messages"]
    text, picture = user["content"]
    assert (text, system["role"]) == ({"type": "text", "text": PROMPT}, "system")
    np.testing.assert_array_equal(shown(picture), CLIP[0])
    # The whole of the official text; whoever changes it changes what the model was trained on.
    digest = hashlib.sha256(system["content"].encode()).hexdigest()
    assert digest == "d134815f86fc07059b73941f6c6888be6583b068b2fbbfe1848515a3e38b8bda"


@pytest.mark.parametrize("prompt", ["{prompt}", "{0} {} %s", '"\n\\'])
def test_a_prompt_is_text_whatever_it_says(prompt: str) -> None:
    (message,) = question(template("upsample-prompt1-12b"), prompt, None)["messages"]
    assert message["content"] == f"Upsample the short caption to a long caption: {prompt}"


def test_a_large_picture_is_shown_no_larger_than_the_official_script_would() -> None:
    frames = np.zeros((1, 704, 1280, 3), np.uint8)
    sides = {}
    for name in ("pixtral-12b", "reason1-7b"):
        parts = question(template(name), PROMPT, frames)["messages"][-1]["content"]
        sides[name] = next(shown(part).shape[:2] for part in parts if part["type"] == "image_url")
    assert sides == {"pixtral-12b": (564, 1024), "reason1-7b": (704, 1280)}
    plain = Template(
        user="", max_tokens=1, temperature=0, cleaning="none", picture=Picture(frame=0, place="before", max_pixels=1000)
    )
    height, width = shown(question(plain, PROMPT, frames)["messages"][0]["content"][0]).shape[:2]
    assert (height, width) == (24, 43)


@pytest.mark.parametrize(
    ("cleaning", "said", "kept"),
    [
        ("none", "A *bus*\nstops.", "A *bus*\nstops."),
        ("caption", 'Caption: "A bus\nstops,  slowly."', "A bus stops, slowly."),
        ("caption", "#### - A bus stops. ", "A bus stops."),
        ("caption", "- **Scene:** A bus. - **Light:** Warm.", "A bus. Warm."),
        (
            "caption",
            "He says: - **one two three four five six seven eight nine ten** and goes",
            "He says: - **one two three four five six seven eight nine ten** and goes",
        ),
        ("ascii", "“Café” — it’s naïve… 北", '"Cafe" - it\'s naive... '),
    ],
)
def test_an_answer_is_cleaned_as_its_template_says(cleaning: str, said: str, kept: str) -> None:
    assert CLEANING[cleaning](said) == kept


def test_the_answer_is_the_prompt_and_is_to_be_remembered() -> None:
    stage, chat = upsampler("Caption: A long caption.")
    assert ran(stage) == (Upsampling(prompt="A long caption.", fail=Fail.OPEN), False)
    assert ran(stage) == (Upsampling(prompt="A long caption.", fail=Fail.OPEN), False)
    assert chat.asked[0] == chat.asked[1], "the same request asks the same question"


NO_PROMPT = "the endpoint's answer is no prompt of 1 to 20000 characters"
FAILURES = [
    (UpsamplingFailed("the endpoint said no"), "the endpoint said no"),
    *((answer, NO_PROMPT) for answer in ("", ' "', "x" * 20_001, "a\x00b", "\ud800")),
]


@pytest.mark.parametrize(("answer", "reason"), FAILURES, ids=range(len(FAILURES)))
def test_a_failure_leaves_the_prompt_or_fails_the_task_as_it_was_chosen(answer: str | UpsamplingFailed, reason: str) -> None:
    assert ran(upsampler(answer)[0]) == (Upsampling(prompt=None, reason=reason, fail=Fail.OPEN), True)
    with pytest.raises(UpsamplingFailed, match=reason):
        ran(upsampler(answer, Fail.CLOSED)[0])


def test_a_template_with_a_picture_and_no_frame_fails_and_asks_nobody() -> None:
    stage, chat = upsampler("x")
    assert ran(stage, "reason1-7b")[0].reason == "the template shows a picture, and there is none"
    assert chat.asked == []


def test_a_caller_that_has_gone_asks_nothing() -> None:
    stage, chat = upsampler("x")
    with pytest.raises(Cancelled):
        stage.run({"component": "reason1-7b", "prompt": PROMPT}, PlainCall({}, steps_allowed=0))
    assert chat.asked == []


def test_every_template_is_there_and_another_is_refused() -> None:
    for name in TEMPLATES:
        assert template(name).user
    for name in ("sora", "../reason1-7b"):
        with pytest.raises(ComponentUnusable, match="no prompt template"):
            template(name)


def test_what_could_change_the_answer_changes_the_fingerprint() -> None:
    base = {"name": "reason1-7b", "url": "http://a/v1", "model": "m", "fail": Fail.OPEN}
    others = ({"name": "pixtral-12b"}, {"url": "http://b/v1"}, {"model": "n"}, {"fail": Fail.CLOSED})
    prints = [served(**(base | other)).fingerprint for other in ({}, *others)]
    assert len(set(prints)) == len(prints)
    assert served(**base).fingerprint == prints[0]
