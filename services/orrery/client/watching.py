"""`orrery watch`, `orrery events` and `orrery cancel`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from orrery.client.options import Connection, Json, expanded

if TYPE_CHECKING:
    from orrery.sdk import Event

app = typer.Typer()

After = Annotated[str | None, typer.Option(help="Goes on after the event with this id.")]


@app.command()
@expanded
def watch(job_id: str, connection: Connection, after: After = None, as_json: Json = False) -> None:
    """Tells what happens to a job until its end, which is also the command's exit status."""
    from orrery.sdk.endings import result_of

    with connection.client() as client:
        _print(client.watch(job_id, after=after), as_json=as_json)
        result_of(client.get(job_id))


@app.command()
@expanded
def events(
    connection: Connection,
    after: After = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ends after so many.")] = None,
    as_json: Json = False,
) -> None:
    """Tells what happens to all jobs, from now on, until Ctrl-C."""
    with connection.client() as client:
        _print(islice(client.watch(after=after), limit), as_json=as_json)


@app.command()
@expanded
def cancel(job_id: str, connection: Connection, as_json: Json = False) -> None:
    """Ends a job; its device is free at the next step."""
    with connection.client() as client:
        world = client.cancel(job_id)
    typer.echo(world.model_dump_json(exclude_unset=True) if as_json else f"{world.id} {world.status}")


def _print(found: Iterator[Event], *, as_json: bool) -> None:
    for event in found:
        typer.echo(json.dumps(event.model_dump(mode="json", exclude_unset=True)) if as_json else _line(event))


def _line(event: Event) -> str:
    """`12:03:44  video_...  job.progress  denoiser 12/35  1700-0`."""
    time = "-" if event.at is None else datetime.fromtimestamp(event.at, UTC).strftime("%H:%M:%S")
    words = [time, event.job_id or "-", event.type]
    if "step" in event.data:
        words.append(f"{event.data.get('stage', '')} {event.data['step']}/{event.data.get('num_steps')}")
    if event.preview:
        words.append(f"preview {event.preview.width}x{event.preview.height}")
    return "  ".join([*words, event.id])
