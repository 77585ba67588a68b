"""The command line beside a gateway behind a real socket, and a worker that does what is queued."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.rig import VIDEO, Rig, Worker, rig_of
from gateway.served import served
from orrery.jobs.memory import MemoryJobs


@dataclass
class Done:
    status: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs commands as processes of their own, as a script would."""

    rig: Rig
    url: str
    folder: Path

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "orrery.client.cli", *words, "--url", self.url]
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, stdout=pipe, stderr=pipe, preexec_fn=_interruptible
        )

    async def run(self, *words: str) -> Done:
        process = await self.start(*words)
        out, err = await process.communicate()
        return Done(process.returncode or 0, out.decode(), err.decode())

    @asynccontextmanager
    async def working(self, *, media: bytes = VIDEO, **failing: dict[str, Any]) -> AsyncIterator[None]:
        """Whatever is queued is done; `failing` gives errors by stage, `media` is what every job makes."""
        task = asyncio.create_task(self._work(Worker(self.rig.jobs, self.rig.artifacts, failing, media)))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _work(self, worker: Worker) -> None:
        while True:
            for job in (await self.rig.jobs.list(after=None, limit=100, order="asc")).jobs:
                if not job.state.ended:
                    await worker.finish(job.id)
            await asyncio.sleep(0.02)


def _interruptible() -> None:
    """Tests that a shell runs in the background ignore Ctrl-C, and what they start would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def shell_of(folder: Path, jobs: MemoryJobs | None = None, **settings: Any) -> AsyncIterator[Shell]:
    async with rig_of(jobs, **settings) as rig, served(rig.app) as client:
        yield Shell(rig, str(client.base_url), folder)
