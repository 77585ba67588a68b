"""Webhooks: every end of a job becomes messages that are owed, and what is owed is sent until it is taken or given up.

Events are followed by a cursor that moves in the same transaction that notes what is owed, so that a dispatcher that dies at
any point forgets nothing; what it had sent but not settled is sent again, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import httpx
from prometheus_client import Counter

from orrery.dispatcher.messages import messages, of_event, signed_headers, wanted
from orrery.jobs.cancelling import end
from orrery.jobs.deliveries import Cursor, Deliveries, Delivery
from orrery.jobs.records import Event
from orrery.jobs.store import JobStore
from orrery.outbound.addresses import AddressRefused, AddressUnknown, address_of
from orrery.telemetry.logs import about
from orrery.telemetry.tracing import UNTRACED, Kind, Tracing
from orrery.worlds.errors import JobNotFound, StoreUnavailable

log = logging.getLogger(__name__)

CURSOR_EVENTS = 500
"""The cursor moves at the latest after so many events that nobody is told of."""

AT_ONCE = 32
PAGE = 100
LONGEST_PAUSE = 3600.0
POLL_SECONDS = 0.5
OUTAGE_SECONDS = 1.0
USER_AGENT = "Orrery-Webhooks/1"

OUTCOMES = ("delivered", "failed", "refused", "gone", "given_up")
WELL = frozenset({"delivered", "gone"})
"""Of them those with which nothing is wrong here."""

Events = AsyncGenerator[Event, None]


@dataclass(frozen=True)
class Receivers:
    """`everyone` is told of every job. `key` signs. The pause after attempt n is up to `pause` * 2^n seconds."""

    key: bytes
    everyone: str | None = None
    allow_private: bool = False
    in_progress: bool = False
    attempts: int = 12
    pause: float = 5.0
    timeout: float = 10.0


@dataclass(frozen=True)
class Outcome:
    """`name` is what metrics call it; a `final` one is not tried again."""

    name: str
    final: bool
    why: str = ""


class Webhooks:
    """Without `receivers` nobody is told, but the cursor moves on: who is set up later hears what comes then."""

    def __init__(
        self,
        jobs: JobStore,
        deliveries: Deliveries,
        receivers: Receivers | None,
        counted: Counter,
        tracing: Tracing = UNTRACED,
    ) -> None:
        self._jobs = jobs
        self._deliveries = deliveries
        self._receivers = receivers
        self._counted = counted
        self._tracing = tracing
        self._owed = asyncio.Event()

    async def follow(self) -> None:
        """Notes what is owed, event by event, for ever."""
        while True:
            try:
                await self._follow(await self._deliveries.cursor())
            except StoreUnavailable as error:
                log.warning("%s", error.message)
                await asyncio.sleep(OUTAGE_SECONDS)

    async def _follow(self, cursor: Cursor) -> None:
        """Until another dispatcher turns out to have moved the cursor."""
        caught_up: frozenset[str] = frozenset()
        passed = 0
        async with aclosing(cast(Events, self._jobs.events(after=cursor.event))) as events:
            async for event in events:
                if not passed and await self._is_lost(cursor):
                    cursor, caught_up = await self._catch_up(cursor, event)
                owed = [message for message in await self._messages(event) if message.id not in caught_up]
                passed += 1
                if not owed and passed % CURSOR_EVENTS:
                    continue
                reached = Cursor(event=event.id, at=event.at)
                if not await self._deliveries.accept(owed, after=cursor, cursor=reached):
                    return
                cursor = reached
                self._owed.set()

    async def _is_lost(self, cursor: Cursor) -> bool:
        """Whether events after the cursor may be forgotten already: the store keeps a certain number of them."""
        async with aclosing(cast(Events, self._jobs.events(after="0"))) as events:
            return cursor != Cursor() and _numbers((await anext(events)).id) > _numbers(cursor.event)

    async def _catch_up(self, cursor: Cursor, oldest: Event) -> tuple[Cursor, frozenset[str]]:
        """Notes what is owed for all jobs that ended since the cursor; gives the cursor after that, and what was noted.

        Jobs are kept longer than events. If the cursor was moved elsewhere meanwhile, the next `accept` will find out.
        """
        log.warning("events were forgotten since %s; every job is looked at", cursor.event)
        owed = [message async for message in self._missed(cursor.at)]
        reached = Cursor(event=oldest.id, at=cursor.at)
        await self._deliveries.accept(owed, after=cursor, cursor=reached)
        self._owed.set()
        return reached, frozenset(message.id for message in owed)

    async def _missed(self, since: float) -> AsyncIterator[Delivery]:
        if self._receivers is None:
            return
        after, more = None, True
        while more:
            page = await self._jobs.list(after=after, limit=PAGE, order="asc")
            for job in page.jobs:
                if job.state.ended and (job.finished_at or 0.0) >= since:
                    for message in messages(job, self._receivers.everyone):
                        yield message
            after, more = (page.jobs[-1].id if page.jobs else None), page.has_more

    async def _messages(self, event: Event) -> Iterable[Delivery]:
        receivers = self._receivers
        if receivers is None or event.type not in wanted(in_progress=receivers.in_progress):
            return ()
        try:
            return of_event(await self._jobs.get(event.job_id), event.type, receivers.everyone)
        except JobNotFound:
            log.info("nobody is told of %s of %s, which was deleted", event.type, event.job_id)
            return ()

    async def send(self) -> None:
        """Sends what is owed as it falls due, for ever."""
        if self._receivers is None:
            return
        sending: set[asyncio.Task[None]] = set()
        async with _client(self._receivers) as client:
            try:
                while True:
                    self._owed.clear()
                    sending = {task for task in sending if not task.done()}
                    taken = await self._take(AT_ONCE - len(sending))
                    sending |= {asyncio.create_task(self._deliver(client, self._receivers, one)) for one in taken}
                    await _first(self._owed, sending, POLL_SECONDS)
            finally:
                await end(*sending)

    async def _take(self, limit: int) -> list[Delivery]:
        if limit <= 0:
            return []
        try:
            for job_id in await self._deliveries.asked():
                await self._deliveries.answer(job_id, await self._again(job_id))
            # Twice the time that a call may take, after which nobody is at it any more.
            return await self._deliveries.take(limit, seconds=2 * cast(Receivers, self._receivers).timeout)
        except StoreUnavailable as error:
            log.warning("%s", error.message)
            return []

    async def _again(self, job_id: str) -> list[Delivery]:
        try:
            job = await self._jobs.get(job_id)
        except JobNotFound:
            return []
        return messages(job, cast(Receivers, self._receivers).everyone) if job.state.ended else []

    async def _deliver(self, client: httpx.AsyncClient, receivers: Receivers, delivery: Delivery) -> None:
        attributes: dict[str, str | int] = {"orrery.job.id": delivery.job_id, "orrery.webhook.attempt": delivery.attempts + 1}
        with (
            about(job=delivery.job_id),
            self._tracing.span("webhook", attributes, kind=Kind.CLIENT, parent=delivery.trace) as span,
        ):
            outcome = await attempt(client, receivers, delivery)
            if not outcome.final and delivery.attempts + 1 >= receivers.attempts:
                outcome = Outcome("given_up", final=True, why=outcome.why)
            self._counted.labels(outcome.name).inc()
            span.set({"orrery.webhook.outcome": outcome.name})
            if outcome.name not in WELL:
                span.failed(outcome.name)
            host = httpx.URL(delivery.url).host  # the rest of a URL may hold what only its receiver should know
            log.info("%s to %s: %s %s", delivery.id, host, outcome.name, outcome.why)
        await self._noted(delivery, outcome, receivers.pause)

    async def _noted(self, delivery: Delivery, outcome: Outcome, pause: float) -> None:
        try:
            if outcome.final:
                await self._deliveries.settle(delivery)
            else:
                await self._deliveries.postpone(delivery, seconds=pause_after(delivery.attempts, pause))
        except StoreUnavailable as error:
            log.warning("%s is sent again: %s", delivery.id, error.message)


def _numbers(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))


def pause_after(attempts: int, base: float) -> float:
    """Exponential, with full jitter: receivers that come back are not called by all who wait at once."""
    return random.uniform(0, min(LONGEST_PAUSE, base * 2.0**attempts))  # noqa: S311 -- nothing secret


def _client(receivers: Receivers) -> httpx.AsyncClient:
    # Connections are not kept: they are known by address alone, and the next name at an address may be another's.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=receivers.timeout, limits=limits)


async def attempt(client: httpx.AsyncClient, receivers: Receivers, delivery: Delivery) -> Outcome:
    """One call. A redirection is a failure: it could lead anywhere."""
    try:
        async with asyncio.timeout(receivers.timeout):
            status = await _status(client, receivers, delivery)
    except AddressRefused as error:
        return Outcome("refused", final=True, why=str(error))
    except (AddressUnknown, httpx.HTTPError, TimeoutError) as error:
        return Outcome("failed", final=False, why=str(error) or type(error).__name__)
    if 200 <= status < 300:
        return Outcome("delivered", final=True)
    return Outcome("gone" if status == httpx.codes.GONE else "failed", status == httpx.codes.GONE, f"status {status}")


async def _status(client: httpx.AsyncClient, receivers: Receivers, delivery: Delivery) -> int:
    url = httpx.URL(delivery.url)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    address = await address_of(url.host, port, allow_private=receivers.allow_private)
    headers = signed_headers(receivers.key, delivery.id, int(time.time()), delivery.body)
    headers |= {"Host": url.netloc.decode(), "Content-Type": "application/json", "User-Agent": USER_AGENT}
    # The certificate is checked against the name, although the address is what is called.
    request = client.build_request(
        "POST", url.copy_with(host=address), content=delivery.body, headers=headers, extensions={"sni_hostname": url.host}
    )
    answer = await client.send(request, stream=True)  # what it says beyond its status is not read
    await answer.aclose()
    return answer.status_code


async def _first(owed: asyncio.Event, sending: Iterable[asyncio.Task[None]], seconds: float) -> None:
    """Until something new is owed, a call has ended, or the time is over."""
    waiting = asyncio.create_task(owed.wait())
    try:
        await asyncio.wait({waiting, *sending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
