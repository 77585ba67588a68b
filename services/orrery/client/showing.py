"""Jobs on the screen while they are made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from orrery.sdk import Client, World
from orrery.worlds.errors import OrreryError

LOOK_SECONDS = 0.5
"""Between two looks at up to four jobs; at more of them it is looked as much less often."""

MAX_LINES = 20


@dataclass
class Pace:
    """Seconds left: the server's forecast, or before it has seen enough jobs, those of the steps seen so far."""

    stage: str | None = None
    first_step: int = 0
    since: float = 0.0

    def left(self, world: World, now: float) -> float | None:
        if world.eta_seconds is not None:
            return world.eta_seconds
        if not world.step or not world.num_steps:
            return None
        if world.stage != self.stage:
            self.stage, self.first_step, self.since = world.stage, world.step, now
        made = world.step - self.first_step
        return (world.num_steps - world.step) * (now - self.since) / made if made else None


def line(world: World, left: float | None, elapsed: float) -> str:
    """`denoiser  step 12/35  34 %  ETA 3 s  (2.1 s)`."""
    words = [world.stage or world.status]
    if world.queue_position:
        words.append(f"{world.queue_position} ahead in the queue")
    if world.num_steps:
        words.append(f"step {world.step or 0}/{world.num_steps}")
    if world.preview:
        words.append(f"preview {world.preview.width}x{world.preview.height}")
    words.append(f"{world.progress} %")
    if left is not None:
        words.append(f"ETA {left:.0f} s")
    return "  ".join([*words, f"({elapsed:.1f} s)"])


@dataclass
class _Row:
    label: str
    world: World
    since: float
    pace: Pace = field(default_factory=Pace)


class Board:
    """A live line for each job that is on it. Looks at the jobs itself, beside whoever waits for them."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console
        self._rows: dict[str, _Row] = {}
        self._looked = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Nothing is shown where nobody looks: on what is no terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self._render, console=self._console, refresh_per_second=8, transient=True):
            yield

    def put(self, world: World, label: str) -> None:
        self._rows[world.id] = _Row(label, world, time.monotonic())

    def take_off(self, job_id: str) -> None:
        self._rows.pop(job_id, None)

    def _render(self) -> Group:
        rows = list(self._rows.values())[:MAX_LINES]
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS * max(1.0, len(rows) / 4):
            self._look(rows)
            self._looked = now
        lines = [
            Text(f"{row.label}  {line(row.world, row.pace.left(row.world, now), now - row.since)}".strip()) for row in rows
        ]
        more = len(self._rows) - len(rows)
        return Group(*lines, *([Text(f"and {more} more")] if more > 0 else []))

    def _look(self, rows: list[_Row]) -> None:
        for row in rows:
            try:
                row.world = self._client.get(row.world.id)
            except OrreryError:  # who waits for the job is told the same; the screen keeps what it had
                return
