"""The client for programs that wait. Written from `aio.py` by `make stubs`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


class Client:
    """One gateway. Every refusal is raised as the typed error that the server sent, or as `Unreachable`.

    `api_key` is for gateways that want one; `tenant` is for whom jobs are made where the key does not say. `transport` takes
    the place of the network, as for a proxy. Threads may share a client.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        tenant: str | None = None,
        retries: Retries = RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries
        headers = headers_of(api_key, tenant)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, transport=transport, trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def create(
        self,
        prompt: str,
        *,
        reference: Source | None = None,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> World:
        """The job, as it was taken. `reference` is the image or clip that the world begins with."""
        return self._send(calls.create(prompt, reference, idempotency_key, parameters))

    def images(self, prompt: str, **parameters: Unpack[Parameters]) -> tuple[bytes, ...]:
        """An image, as PNG. The call lasts until it is made."""
        return self._send(calls.images(prompt, parameters))

    def estimate(self, prompt: str, *, reference: Source | None = None, **parameters: Unpack[Parameters]) -> Estimate:
        """What such a job would cost. Raises what `create` would."""
        return self._send(calls.estimate(prompt, reference, parameters))

    def remix(self, job_id: str, prompt: str, *, idempotency_key: str | None = None, **parameters: Unpack[Parameters]) -> World:
        """The same request under another prompt, with the same seed."""
        return self._send(calls.remix(job_id, prompt, idempotency_key, parameters))

    def extend(
        self, job_id: str, prompt: str, *, idempotency_key: str | None = None, **parameters: Unpack[Parameters]
    ) -> World:
        """A job whose video goes on from the last frames of the job's, and begins with it."""
        return self._send(calls.derive("extensions", job_id, prompt, idempotency_key, parameters))

    def edit(self, job_id: str, prompt: str, *, idempotency_key: str | None = None, **parameters: Unpack[Parameters]) -> World:
        """A job whose video goes another way from the first frame of the job's."""
        return self._send(calls.derive("edits", job_id, prompt, idempotency_key, parameters))

    def get(self, job_id: str) -> World:
        return self._send(calls.get(job_id))

    def list(self, *, limit: int = 20, after: str | None = None, order: Literal["asc", "desc"] = "desc") -> Worlds:
        """Jobs by creation, after the job `after`."""
        return self._send(calls.listing(limit, after, order))

    def dead(self, *, limit: int = 20) -> Worlds:
        """Jobs whose every attempt ended with its worker gone."""
        return self._send(calls.dead(limit))

    def cancel(self, job_id: str) -> World:
        """Ends the job; one that has ended stays as it is."""
        return self._send(calls.cancel(job_id))

    def requeue(self, job_id: str) -> World:
        """Gives a dead job fresh attempts."""
        return self._send(calls.requeue(job_id))

    def replay_webhook(self, job_id: str) -> Receipt:
        return self._send(calls.replay_webhook(job_id))

    def delete(self, job_id: str) -> Deleted:
        """Cancels the job if it has not ended, and forgets it."""
        return self._send(calls.delete(job_id))

    def models(self) -> tuple[Model, ...]:
        return self._send(calls.models()).data

    def watch(self, job_id: str | None = None, *, after: str | None = None) -> Iterator[Event]:
        """Events of a job until its end, or without end those of all jobs. Connections that break are made again."""
        following = Following(job_id, after, self._retries)
        while True:
            outcome: httpx.Response | httpx.TransportError | None = None
            try:
                with self._http.stream("GET", following.path, headers=following.headers, timeout=SILENCE) as answer:
                    if answer.is_success:
                        for sent in EventSource(answer).iter_sse():
                            if (event := following.read(sent)) is not None:
                                yield event
                    else:
                        answer.read()
                        outcome = answer
            except httpx.TransportError as error:
                outcome = error
            if following.ended or (outcome is None and following.is_silent and (self.get(str(job_id))).ended):
                return
            time.sleep(following.pause(outcome))

    def wait(self, job_id: str, *, on_event: Callable[[Event], None] | None = None) -> World:
        """The job when it is completed. Raises `JobFailed`, `JobCancelled`."""
        after: str | None = None
        while True:
            for event in self.watch(job_id, after=after):
                after = event.id
                if on_event is not None:
                    on_event(event)
            world = self.get(job_id)
            if world.ended:
                return result_of(world)

    def preview(self, job_id: str) -> bytes:
        """A JPEG of what the job has made so far. Raises `PreviewNotFound` while there is none, and after the job's end."""
        return self._send(calls.preview(job_id))

    def download(self, job_id: str, path: Path, *, variant: str = "video") -> int:
        """Writes a file of a completed job, going on where a connection broke; gives its size in bytes.

        Nothing is at `path` before it is whole and has the digest that the server names. Raises `CorruptDownload`.
        """
        call = calls.content(job_id, variant)
        with Partial(path) as partial:
            for sent in count(1):
                outcome = self._stream_into(partial, call)
                if outcome is None:
                    break
                self._pause_or_raise(outcome, sent)
            return partial.finish()

    def _stream_into(self, partial: Partial, call: Call[None]) -> httpx.Response | httpx.TransportError | None:
        """None when the file is whole."""
        try:
            with self._http.stream(call.method, call.path, params=call.params, headers=partial.headers) as answer:
                if not answer.is_success:
                    answer.read()
                    return answer
                partial.begin(answer)
                for chunk in answer.iter_bytes():
                    partial.write(chunk)
        except httpx.TransportError as error:
            return None if partial.is_whole else error
        return None

    def upload(self, source: Source, *, purpose: str = "vision", seconds: int | None = None) -> File:
        """Puts a file there for later, as a reference of jobs or the input of a batch, to be forgotten after `seconds`."""
        return self._send(calls.upload(source, purpose, seconds))

    def batch(self, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> Batch:
        """Submits many requests at once: of each the name of its result, and the body of a `POST /v1/videos`."""
        file = self.upload(calls.batch_lines(requests), purpose="batch")
        return self._send(calls.create_batch(file.id))

    def get_batch(self, batch_id: str) -> Batch:
        return self._send(calls.get_batch(batch_id))

    def wait_batch(self, batch_id: str, *, on_change: Callable[[Batch], None] | None = None) -> Batch:
        """The batch when all its requests have ended."""
        seen = None
        while True:
            batch = self.get_batch(batch_id)
            if on_change is not None and batch != seen:
                on_change(batch)
            if batch.ended:
                return batch
            seen = batch
            time.sleep(BATCH_SECONDS)

    def cancel_batch(self, batch_id: str) -> Batch:
        return self._send(calls.cancel_batch(batch_id))

    def batch_results(self, batch_id: str) -> Sequence[dict[str, Any]]:
        """What came of each request so far, while the batch runs too; refusals last. OpenAI's lines."""
        output = self._send(calls.batch_lines_of(batch_id, "output"))
        return output + self._send(calls.batch_lines_of(batch_id, "errors"))

    def _send(self, call: Call[T]) -> T:
        for sent in count(1):
            outcome = self._once(call)
            pause = self._retries.pause(outcome, sent, repeatable=call.repeatable)
            if pause is None:
                break
            time.sleep(pause)
        return call.read(checked(outcome))

    def _once(self, call: Call[Any]) -> httpx.Response | httpx.TransportError:
        try:
            with call.arguments() as arguments:
                return self._http.request(**arguments)
        except httpx.TransportError as error:
            return error

    def _pause_or_raise(self, outcome: httpx.Response | httpx.TransportError, sent: int) -> None:
        pause = self._retries.pause(outcome, sent, repeatable=True)
        if pause is None:
            checked(outcome)
        else:
            time.sleep(pause)
