"""From what is wanted to files, where it is broken off."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from client.terminal import Shell, shell_of
from orrery.client.making import Maker
from orrery.client.showing import Board
from orrery.client.specs.formats import Place, Wanted
from orrery.jobs.records import JobState
from orrery.sdk import Client
from orrery.worlds.errors import OrreryError


class BrokenOff(httpx.BaseTransport):
    """Somebody presses Ctrl-C when the last of `jobs` has been taken, before its answer is read.

    From then on the requests that `meets` picks are answered with `refusal`.
    """

    def __init__(self, jobs: int, meets: Callable[[httpx.Request], bool] = lambda _: False) -> None:
        self._inner = httpx.HTTPTransport()
        self._jobs = jobs
        self._meets = meets
        self.submissions = 0
        self.refused: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.submissions >= self._jobs and self._meets(request):
            self.refused.append(f"{request.method} {request.url.path}")
            return httpx.Response(404, json={"error": {"code": "job_not_found", "message": "it is gone"}}, request=request)
        answer = self._inner.handle_request(request)
        if _submits(request):
            self.submissions += 1
            if self.submissions == self._jobs:
                answer.read()
                raise KeyboardInterrupt
        return answer

    def close(self) -> None:
        self._inner.close()


def _submits(request: httpx.Request) -> bool:
    return (request.method, request.url.path) == ("POST", "/v1/videos")


def make(shell: Shell, transport: BrokenOff, jobs: int) -> None:
    place = Place(Path("--output"), None, 0)
    wanted = [Wanted(place, shell.folder / f"{n}.mp4", {"prompt": "a robot arm stacks boxes", "seed": n}) for n in range(jobs)]
    with Client(shell.url, transport=transport) as client:
        Maker(client, Board(client, Console(file=io.StringIO()))).make(wanted)


async def states(shell: Shell) -> list[JobState]:
    return [job.state for job in (await shell.rig.jobs.list(after=None, limit=100, order="asc")).jobs]


async def test_an_interrupt_in_the_act_of_submitting_cancels_what_was_taken(tmp_path: Path) -> None:
    transport = BrokenOff(jobs=1)
    async with shell_of(tmp_path) as shell:
        with pytest.raises(KeyboardInterrupt):
            await asyncio.to_thread(make, shell, transport, 1)
        assert await states(shell) == [JobState.CANCELLED]
    assert transport.submissions == 2


async def test_what_is_refused_when_it_is_asked_for_again_keeps_no_other_job_running(tmp_path: Path) -> None:
    transport = BrokenOff(jobs=3, meets=_submits)
    async with shell_of(tmp_path) as shell:
        with pytest.raises(KeyboardInterrupt):
            await asyncio.to_thread(make, shell, transport, 3)
        assert await states(shell) == [JobState.CANCELLED, JobState.CANCELLED, JobState.QUEUED]
    assert transport.refused == ["POST /v1/videos"]


async def test_a_job_that_cannot_be_cancelled_is_told_of_and_keeps_no_other_running(tmp_path: Path) -> None:
    first: list[str] = []

    def cancels_the_first(request: httpx.Request) -> bool:
        if request.url.path.endswith("/cancel"):
            first.append(request.url.path)
        return request.url.path in first[:1]

    transport = BrokenOff(jobs=3, meets=cancels_the_first)
    async with shell_of(tmp_path) as shell:
        with pytest.raises(OrreryError, match="it is gone"):
            await asyncio.to_thread(make, shell, transport, 3)
        assert await states(shell) == [JobState.QUEUED, JobState.CANCELLED, JobState.CANCELLED]
    assert len(transport.refused) == 1
