"""From what is wanted to files, where it is broken off."""

from __future__ import annotations

import asyncio
import io
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


class BrokenOff(httpx.BaseTransport):
    """Somebody presses Ctrl-C when the first job has been taken, before its answer is read."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self.submissions = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        if (request.method, request.url.path) == ("POST", "/v1/videos"):
            self.submissions += 1
            if self.submissions == 1:
                answer.read()
                raise KeyboardInterrupt
        return answer

    def close(self) -> None:
        self._inner.close()


def interrupted(shell: Shell) -> int:
    """How often something was submitted."""
    place = Place(Path("--output"), None, 0)
    wanted = Wanted(place, shell.folder / "world.mp4", {"prompt": "a robot arm stacks boxes"})
    transport = BrokenOff()
    with Client(shell.url, transport=transport) as client, pytest.raises(KeyboardInterrupt):
        Maker(client, Board(client, Console(file=io.StringIO()))).make([wanted])
    return transport.submissions


async def test_an_interrupt_in_the_act_of_submitting_cancels_what_was_taken(tmp_path: Path) -> None:
    async with shell_of(tmp_path) as shell:
        submissions = await asyncio.to_thread(interrupted, shell)
        (job,) = (await shell.rig.jobs.list(after=None, limit=100, order="asc")).jobs
    assert (submissions, job.state) == (2, JobState.CANCELLED)
