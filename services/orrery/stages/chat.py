"""The seam to a language model: one question, one answer, in bounded time. Knows OpenAI's form and no torch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

import httpx

from orrery.stages.stage import Call, Endpoint
from orrery.worlds.errors import UpsamplingFailed

MAX_ANSWER_BYTES = 256 * 1024
"""Of the whole answer: far above any caption."""

LOOK_SECONDS = 0.1
Answer = TypeVar("Answer")


class Chat(Protocol):
    def ask(self, question: Mapping[str, Any], call: Call) -> str:
        """The text of the first choice; `question` is the body of a chat completion without its model.

        Raises `UpsamplingFailed` saying why there is none, without a word of the question or of the answer, and `Cancelled`.
        """
        ...


class HttpChat:
    """An endpoint that speaks OpenAI's chat completions, as vLLM does. It is asked once."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def ask(self, question: Mapping[str, Any], call: Call) -> str:
        """See `Chat`. The time limit is on the whole, however slowly the answer comes."""
        call.check_cancelled()
        return asyncio.run(_cancellable(self._ask({"model": self._endpoint.model, **question}), call))

    async def _ask(self, body: dict[str, Any]) -> str:
        try:
            async with asyncio.timeout(self._endpoint.seconds):
                return _text_of(await self._answer(body))
        except TimeoutError:
            raise UpsamplingFailed(f"the endpoint gave no answer within {self._endpoint.seconds:g} seconds") from None
        except httpx.HTTPError as error:
            # The library's own words may have the address with what is secret in it.
            raise UpsamplingFailed(f"the endpoint could not be asked: {type(error).__name__}") from None

    async def _answer(self, body: dict[str, Any]) -> bytes:
        """Neither proxies nor netrc of the environment, no redirects, and no compression, which would hide how much comes."""
        headers = {"Accept-Encoding": "identity"} | self._authorization()
        url = f"{self._endpoint.url.rstrip('/')}/chat/completions"
        async with (
            httpx.AsyncClient(trust_env=False, timeout=None) as client,  # noqa: S113  the time limit is around all of it
            client.stream("POST", url, json=body, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise UpsamplingFailed(f"the endpoint answered with status {response.status_code}")
            return await _bounded(response)

    def _authorization(self) -> dict[str, str]:
        key = self._endpoint.api_key
        return {} if key is None else {"Authorization": f"Bearer {key}"}


async def _bounded(response: httpx.Response) -> bytes:
    answer = bytearray()
    async for chunk in response.aiter_raw():
        answer += chunk
        if len(answer) > MAX_ANSWER_BYTES:
            raise UpsamplingFailed(f"the endpoint's answer has more than {MAX_ANSWER_BYTES} bytes")
    return bytes(answer)


def _text_of(answer: bytes) -> str:
    try:
        text = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, RecursionError, LookupError, TypeError):
        raise UpsamplingFailed("the endpoint's answer is no chat completion") from None
    if not isinstance(text, str):
        raise UpsamplingFailed("the endpoint's answer has no text")
    return text


async def _cancellable(work: Coroutine[Any, Any, Answer], call: Call) -> Answer:
    """What `work` gives, unless the caller leaves meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if not task.done():
                call.check_cancelled()
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
