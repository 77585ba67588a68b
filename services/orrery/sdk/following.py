"""Where a client is in a stream of server-sent events, and from where it comes again."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent

from orrery.sdk.calls import VIDEOS
from orrery.sdk.results import Event
from orrery.sdk.retrying import Retries, refusal_of

SILENCE = httpx.Timeout(30.0, read=45.0)
"""A server says something every 15 seconds; if it does not, the connection is taken for dead."""


class Following:
    """The events of one job until its end, or of all jobs without end. `after` is the id of the last event seen."""

    def __init__(self, job_id: str | None, after: str | None, retries: Retries) -> None:
        self.path = "/v1/events" if job_id is None else f"{VIDEOS}/{quote(job_id, safe='')}/events"
        self.ended = False
        """Whether the last event was an end. A job that was given fresh attempts has events after one: the server knows."""
        self._of_one = job_id is not None
        self._after = after
        self._retries = retries
        self._in_vain = 0

    @property
    def headers(self) -> dict[str, str]:
        asked = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        return asked | ({"Last-Event-ID": self._after} if self._after else {})

    def read(self, sent: ServerSentEvent) -> Event | None:
        """None for what only marks a place."""
        self._in_vain = 0
        self._after = sent.id or self._after
        if not sent.data:
            return None
        event = Event.model_validate(json.loads(sent.data) | {"id": sent.id})
        self.ended = event.is_end and self._of_one
        return event

    @property
    def is_silent(self) -> bool:
        """Whether the stream of a job stopped before without a word: so it does when nothing came after the last event seen."""
        return self._of_one and self._in_vain > 0

    def pause(self, outcome: httpx.Response | httpx.TransportError | None) -> float:
        """Seconds until the stream is asked for again; None is a stream that just stopped.

        Raises `Unreachable`, or what the server said if it will say so again.
        """
        self._in_vain += 1
        if outcome is None:
            return self._retries.backoff(self._in_vain)
        pause = self._retries.pause(outcome, self._in_vain, repeatable=True)
        if pause is not None:
            return pause
        raise refusal_of(outcome)
