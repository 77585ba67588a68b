"""The seam to a language model: both of its sides answer alike, and the real one is bounded whatever the server does."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from orrery.embedded.settings import free_ports
from orrery.stages.chat import MAX_ANSWER_BYTES, Chat, HttpChat
from orrery.stages.stage import Cancelled, Endpoint
from orrery.worlds.errors import UpsamplingFailed
from stages.language_model import LanguageModel, MemoryChat, Reply, listening, saying
from stages.setting import PlainCall

QUESTION = {"messages": [{"role": "user", "content": "a secret ball"}], "max_tokens": 9, "seed": 0}
CALL = PlainCall({})


class Leaving(PlainCall):
    """The caller goes away at the second look."""

    def check_cancelled(self) -> None:
        self.looks += 1
        if self.looks > 1:
            raise Cancelled


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with listening() as started:
        yield started


def endpoint(model: LanguageModel, **more: Any) -> Endpoint:
    return replace(Endpoint(url=model.url, model="reason1-7b", seconds=5.0), **more)


@dataclass
class Side:
    """A chat and how to tell what it says."""

    chat: Chat
    say: Callable[[str | None], None]


@pytest.fixture(params=["http", "memory"])
def side(request: pytest.FixtureRequest, model: LanguageModel) -> Side:
    if request.param == "memory":
        memory = MemoryChat(lambda _: "")

        def say(text: str | None) -> None:
            memory.answer = lambda _: UpsamplingFailed("no") if text is None else text

        return Side(memory, say)

    def tell(text: str | None) -> None:
        model.answer = lambda _: Reply(b"", status=503) if text is None else saying(text)

    return Side(HttpChat(endpoint(model)), tell)


def test_a_question_is_answered_with_the_text_of_the_first_choice(side: Side) -> None:
    for text in ("A red ball.", "  Ünïcode “as it is”\n", ""):
        side.say(text)
        assert side.chat.ask(QUESTION, CALL) == text


def test_one_that_is_not_answered_is_a_failure_and_the_next_is_asked_anew(side: Side) -> None:
    side.say(None)
    with pytest.raises(UpsamplingFailed):
        side.chat.ask(QUESTION, CALL)
    side.say("well again")
    assert side.chat.ask(QUESTION, CALL) == "well again"


def test_a_caller_that_has_gone_gets_no_answer(side: Side) -> None:
    side.say("too late")
    with pytest.raises(Cancelled):
        side.chat.ask(QUESTION, PlainCall({}, steps_allowed=0))


def test_the_question_goes_out_once_as_it_is_with_the_models_name_and_the_key(model: LanguageModel) -> None:
    HttpChat(endpoint(model, url=f"{model.url}/", api_key="s3cret")).ask(QUESTION, CALL)
    assert model.asked == [{"model": "reason1-7b", **QUESTION}]
    assert model.paths == ["/v1/chat/completions"]
    assert model.heads[0]["Authorization"] == "Bearer s3cret"
    HttpChat(endpoint(model)).ask(QUESTION, CALL)
    assert "Authorization" not in model.heads[1]
    assert "s3cret" not in repr(endpoint(model, api_key="s3cret"))


def _body(value: Any) -> Reply:
    return Reply(json.dumps(value).encode())


BAD = {
    "status": Reply(b'{"error": "a secret ball"}', status=500),
    "unauthorized": Reply(b"", status=401),
    "redirect": Reply(b"", status=307, headers={"Location": "/v1/elsewhere"}),
    "no json": Reply(b"a secret ball"),
    "not utf-8": Reply(b'"\xff\xfe"'),
    "deep": Reply(b"[" * 100_000),
    "no object": _body([1, 2]),
    "no choices": _body({"choices": []}),
    "no message": _body({"choices": [{"text": "a secret ball"}]}),
    "no text": saying(None),
    "parts": saying([{"type": "text", "text": "a secret ball"}]),
    "large": Reply(saying("x" * MAX_ANSWER_BYTES).body),
    "compressed": Reply(gzip.compress(saying("x").body), headers={"Content-Encoding": "gzip"}),
    "cut off": replace(saying("x" * 100), cut=True),
    "nothing": Reply(b""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_is_a_failure_that_repeats_nothing_of_it(model: LanguageModel, name: str) -> None:
    model.answer = lambda _: BAD[name]
    with pytest.raises(UpsamplingFailed) as failed:
        HttpChat(endpoint(model)).ask(QUESTION, CALL)
    assert "secret" not in failed.value.message
    assert "127.0.0.1" not in failed.value.message
    assert len(model.asked) == 1, "nothing is asked twice, and a redirect is not followed"


def test_an_endless_answer_is_left_at_the_bound(model: LanguageModel) -> None:
    body = b" " * (64 * MAX_ANSWER_BYTES)
    model.answer = lambda _: Reply(body)
    with pytest.raises(UpsamplingFailed, match="more than"):
        HttpChat(endpoint(model)).ask(QUESTION, CALL)


@pytest.mark.parametrize("reply", [saying("x", pause=3.0), saying("x" * 200, drip=0.02)], ids=["silent", "dripping"])
def test_the_limit_is_on_all_of_it_however_it_comes(model: LanguageModel, reply: Reply) -> None:
    model.answer = lambda _: reply
    started = time.monotonic()
    with pytest.raises(UpsamplingFailed, match=r"within 0\.3 seconds"):
        HttpChat(endpoint(model, seconds=0.3)).ask(QUESTION, CALL)
    assert 0.3 <= time.monotonic() - started < 2.0


def test_a_caller_that_leaves_is_not_kept_until_the_answer(model: LanguageModel) -> None:
    model.answer = lambda _: saying("x", pause=3.0)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        HttpChat(endpoint(model)).ask(QUESTION, Leaving({}))
    assert time.monotonic() - started < 2.0


def test_an_endpoint_that_is_not_there_is_a_failure() -> None:
    (port,) = free_ports(1)
    with pytest.raises(UpsamplingFailed, match="ConnectError"):
        HttpChat(Endpoint(url=f"http://127.0.0.1:{port}/v1", model="m")).ask(QUESTION, CALL)


def test_proxies_of_the_environment_are_not_asked(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert HttpChat(endpoint(model)).ask(QUESTION, CALL) == "A long and careful description."


def test_memory_and_http_are_asked_the_same(model: LanguageModel) -> None:
    def answer(_: Mapping[str, Any]) -> str:
        return "x"

    memory = MemoryChat(answer)
    memory.ask(QUESTION, CALL)
    HttpChat(endpoint(model)).ask(QUESTION, CALL)
    (sent,) = model.asked
    assert {**memory.asked[0], "model": "reason1-7b"} == sent
