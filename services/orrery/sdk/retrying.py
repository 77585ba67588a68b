"""Which requests are sent again, and when."""

from __future__ import annotations

from dataclasses import dataclass
from random import SystemRandom

import httpx

from orrery.sdk.errors import Unreachable, error_of
from orrery.worlds.errors import OrreryError

TOO_MANY, UNAVAILABLE = 429, 503

_random = SystemRandom()


@dataclass(frozen=True)
class Retries:
    """`times` at most, with pauses that double from `first` to `longest` seconds and are drawn from below that.

    A server that says `Retry-After` is waited for, unless it wants more than `patience` seconds.
    """

    times: int = 4
    first: float = 0.5
    longest: float = 8.0
    patience: float = 60.0

    def pause(self, outcome: httpx.Response | httpx.TransportError, sent: int, *, repeatable: bool) -> float | None:
        """Seconds until the request is sent again after it was sent `sent` times; None if it is not.

        A request that is not repeatable is sent again only if it certainly was not taken.
        """
        if sent > self.times:
            return None
        if isinstance(outcome, httpx.TransportError):
            return self.backoff(sent) if repeatable or isinstance(outcome, httpx.ConnectError) else None
        if outcome.status_code == TOO_MANY or (outcome.status_code == UNAVAILABLE and repeatable):
            return self._told(outcome.headers.get("retry-after", ""), sent)
        return None

    def backoff(self, sent: int) -> float:
        return _random.uniform(0.5, 1.0) * min(self.longest, self.first * 2.0 ** (sent - 1))

    def _told(self, retry_after: str, sent: int) -> float | None:
        if not retry_after.isdecimal():
            return self.backoff(sent)
        seconds = float(retry_after)
        return seconds if seconds <= self.patience else None


RETRIES = Retries()


def checked(outcome: httpx.Response | httpx.TransportError) -> httpx.Response:
    """The answer if it is a success; raises `refusal_of` what it is otherwise. The body must have been read."""
    if isinstance(outcome, httpx.Response) and outcome.is_success:
        return outcome
    raise refusal_of(outcome)


def refusal_of(outcome: httpx.Response | httpx.TransportError) -> OrreryError:
    """`Unreachable`, or the typed error that the server sent."""
    if isinstance(outcome, httpx.Response):
        return error_of(outcome)
    gateway = outcome.request.url.copy_with(raw_path=b"/")
    return Unreachable(f"no gateway at {gateway}: {outcome or type(outcome).__name__}; start one with `orrery up`")
