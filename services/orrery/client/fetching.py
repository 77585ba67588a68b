"""How a pull is shown: a line for each component, and a bar for each file that is coming."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from orrery.weights.hub import Told


class Bars:
    """A `Watcher` on a terminal. Where there is none, only the lines are printed."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def say(self, text: str) -> None:
        """See `Watcher`."""
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def file(self, path: str, size: int, there: int) -> Told:
        """See `Watcher`."""
        if not self._progress.console.is_terminal:
            self.say(f"{path}: {size} bytes" + (f", {there} of them here already" if there else ""))
        task = self._progress.add_task(path, total=size, completed=there)
        return lambda count: self._progress.advance(task, count)


@contextmanager
def watching() -> Iterator[Bars]:
    """On standard error: standard output is for results."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bars(progress)
