"""The client for programs that do other things meanwhile. `client.py` is written from this file by `make stubs`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

import httpx
from httpx_sse import EventSource

import orrery.sdk.calls as calls
from orrery.sdk.calls import Call, Parameters, Source
from orrery.sdk.downloading import Partial
from orrery.sdk.endings import result_of
from orrery.sdk.following import SILENCE, Following
from orrery.sdk.options import DEFAULT_URL, TIMEOUT, headers_of
from orrery.sdk.results import Batch, Deleted, Estimate, Event, File, Model, Receipt, World, Worlds
from orrery.sdk.retrying import RETRIES, Retries, checked

T = TypeVar("T")

BATCH_SECONDS = 1.0
"""Between two looks at a batch."""


class AsyncClient:
    """One gateway. Every refusal is raised as the typed error that the server sent, or as `Unreachable`.

    `api_key` is for gateways that want one; `tenant` is for whom jobs are made where the key does not say. `transport` takes
    the place of the network, as for a proxy. Tasks may share a client.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        tenant: str | None = None,
        retries: Retries = RETRIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries
        headers = headers_of(api_key, tenant)
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT, transport=transport, trust_env=False)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def create(
        self,
        prompt: str,
        *,
        reference: Source | None = None,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> World:
        """The job, as it was taken. `reference` is the image or clip that the world begins with."""
        return await self._send(calls.create(prompt, reference, idempotency_key, parameters))

    async def images(self, prompt: str, **parameters: Unpack[Parameters]) -> tuple[bytes, ...]:
        """An image, as PNG. The call lasts until it is made."""
        return await self._send(calls.images(prompt, parameters))

    async def estimate(self, prompt: str, *, reference: Source | None = None, **parameters: Unpack[Parameters]) -> Estimate:
        """What such a job would cost. Raises what `create` would."""
        return await self._send(calls.estimate(prompt, reference, parameters))

    async def remix(
        self, job_id: str, prompt: str, *, idempotency_key: str | None = None, **parameters: Unpack[Parameters]
    ) -> World:
        """The same request under another prompt, with the same seed."""
        return await self._send(calls.remix(job_id, prompt, idempotency_key, parameters))

    async def extend(
        self, job_id: str, prompt: str, *, idempotency_key: str | None = None, **parameters: Unpack[Parameters]
    ) -> World:
        """A job whose video goes on from the last frames of the job's, and begins with it."""
        return await self._send(calls.derive("extensions", job_id, prompt, idempotency_key, parameters))

    async def edit(
        self, job_id: str, prompt: str, *, idempotency_key: str | None = None, **parameters: Unpack[Parameters]
    ) -> World:
        """A job whose video goes another way from the first frame of the job's."""
        return await self._send(calls.derive("edits", job_id, prompt, idempotency_key, parameters))

    async def get(self, job_id: str) -> World:
        return await self._send(calls.get(job_id))

    async def list(self, *, limit: int = 20, after: str | None = None, order: Literal["asc", "desc"] = "desc") -> Worlds:
        """Jobs by creation, after the job `after`."""
        return await self._send(calls.listing(limit, after, order))

    async def dead(self, *, limit: int = 20) -> Worlds:
        """Jobs whose every attempt ended with its worker gone."""
        return await self._send(calls.dead(limit))

    async def cancel(self, job_id: str) -> World:
        """Ends the job; one that has ended stays as it is."""
        return await self._send(calls.cancel(job_id))

    async def requeue(self, job_id: str) -> World:
        """Gives a dead job fresh attempts."""
        return await self._send(calls.requeue(job_id))

    async def replay_webhook(self, job_id: str) -> Receipt:
        return await self._send(calls.replay_webhook(job_id))

    async def delete(self, job_id: str) -> Deleted:
        """Cancels the job if it has not ended, and forgets it."""
        return await self._send(calls.delete(job_id))

    async def models(self) -> tuple[Model, ...]:
        return (await self._send(calls.models())).data

    async def watch(self, job_id: str | None = None, *, after: str | None = None) -> AsyncIterator[Event]:
        """Events of a job until its end, or without end those of all jobs. Connections that break are made again."""
        following = Following(job_id, after, self._retries)
        while True:
            outcome: httpx.Response | httpx.TransportError | None = None
            try:
                async with self._http.stream("GET", following.path, headers=following.headers, timeout=SILENCE) as answer:
                    if answer.is_success:
                        async for sent in EventSource(answer).aiter_sse():
                            if (event := following.read(sent)) is not None:
                                yield event
                    else:
                        await answer.aread()
                        outcome = answer
            except httpx.TransportError as error:
                outcome = error
            if following.ended or (outcome is None and following.is_silent and (await self.get(str(job_id))).ended):
                return
            await asyncio.sleep(following.pause(outcome))

    async def wait(self, job_id: str, *, on_event: Callable[[Event], None] | None = None) -> World:
        """The job when it is completed. Raises `JobFailed`, `JobCancelled`."""
        after: str | None = None
        while True:
            async for event in self.watch(job_id, after=after):
                after = event.id
                if on_event is not None:
                    on_event(event)
            world = await self.get(job_id)
            if world.ended:
                return result_of(world)

    async def preview(self, job_id: str) -> bytes:
        """A JPEG of what the job has made so far. Raises `PreviewNotFound` while there is none, and after the job's end."""
        return await self._send(calls.preview(job_id))

    async def download(self, job_id: str, path: Path, *, variant: str = "video") -> int:
        """Writes a file of a completed job, going on where a connection broke; gives its size in bytes.

        Nothing is at `path` before it is whole and has the digest that the server names. Raises `CorruptDownload`.
        """
        call = calls.content(job_id, variant)
        with Partial(path) as partial:
            for sent in count(1):
                outcome = await self._stream_into(partial, call)
                if outcome is None:
                    break
                await self._pause_or_raise(outcome, sent)
            return partial.finish()

    async def _stream_into(self, partial: Partial, call: Call[None]) -> httpx.Response | httpx.TransportError | None:
        """None when the file is whole."""
        try:
            async with self._http.stream(call.method, call.path, params=call.params, headers=partial.headers) as answer:
                if not answer.is_success:
                    await answer.aread()
                    return answer
                partial.begin(answer)
                async for chunk in answer.aiter_bytes():
                    partial.write(chunk)
        except httpx.TransportError as error:
            return None if partial.is_whole else error
        return None

    async def upload(self, source: Source, *, purpose: str = "vision", seconds: int | None = None) -> File:
        """Puts a file there for later, as a reference of jobs or the input of a batch, to be forgotten after `seconds`."""
        return await self._send(calls.upload(source, purpose, seconds))

    async def batch(self, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> Batch:
        """Submits many requests at once: of each the name of its result, and the body of a `POST /v1/videos`."""
        file = await self.upload(calls.batch_lines(requests), purpose="batch")
        return await self._send(calls.create_batch(file.id))

    async def get_batch(self, batch_id: str) -> Batch:
        return await self._send(calls.get_batch(batch_id))

    async def wait_batch(self, batch_id: str, *, on_change: Callable[[Batch], None] | None = None) -> Batch:
        """The batch when all its requests have ended."""
        seen = None
        while True:
            batch = await self.get_batch(batch_id)
            if on_change is not None and batch != seen:
                on_change(batch)
            if batch.ended:
                return batch
            seen = batch
            await asyncio.sleep(BATCH_SECONDS)

    async def cancel_batch(self, batch_id: str) -> Batch:
        return await self._send(calls.cancel_batch(batch_id))

    async def batch_results(self, batch_id: str) -> Sequence[dict[str, Any]]:
        """What came of each request so far, while the batch runs too; refusals last. OpenAI's lines."""
        output = await self._send(calls.batch_lines_of(batch_id, "output"))
        return output + await self._send(calls.batch_lines_of(batch_id, "errors"))

    async def _send(self, call: Call[T]) -> T:
        for sent in count(1):
            outcome = await self._once(call)
            pause = self._retries.pause(outcome, sent, repeatable=call.repeatable)
            if pause is None:
                break
            await asyncio.sleep(pause)
        return call.read(checked(outcome))

    async def _once(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            with call.arguments() as arguments:
                return await self._http.request(**arguments)
        except httpx.TransportError as error:
            return error

    async def _pause_or_raise(self, outcome: httpx.Response | httpx.TransportError, sent: int) -> None:
        pause = self._retries.pause(outcome, sent, repeatable=True)
        if pause is None:
            checked(outcome)
        else:
            await asyncio.sleep(pause)
