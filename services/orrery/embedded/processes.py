"""The processes of an embedded Orrery: what each is started with, and how all of them end together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orrery.worker.lifeline import die_with_parent

log = logging.getLogger("orrery.embedded")


@dataclass(frozen=True)
class Program:
    """`name` is also the name of its log file. `stop_seconds` is how long it may take to end when asked."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 10.0


def orrery(*arguments: str) -> tuple[str, ...]:
    """The command line of the same installation."""
    return (sys.executable, "-m", "orrery.client.cli", *arguments)


class Processes:
    """Children that were started in order, are stopped in reverse, and die with this process."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[tuple[Program, asyncio.subprocess.Process]] = []
        logs.mkdir(parents=True, exist_ok=True)

    async def start(self, program: Program) -> None:
        with (self._logs / f"{program.name}.log").open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | dict(program.environment),
                # A session of its own: Ctrl-C in the terminal reaches only us, and we stop the rest in order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._children.append((program, child))

    async def first_to_end(self) -> tuple[Program, int]:
        """Waits until any child ends; gives it and its exit status."""
        waits = {asyncio.create_task(child.wait()): program for program, child in self._children}
        done, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        first = done.pop()
        return waits[first], first.result()

    async def stop(self) -> None:
        while self._children:
            program, child = self._children.pop()
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(child.wait(), program.stop_seconds)
                except TimeoutError:
                    log.warning("%s did not end within %.0f s; killing it", program.name, program.stop_seconds)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()

    def pids(self) -> dict[str, int]:
        return {program.name: child.pid for program, child in self._children}
