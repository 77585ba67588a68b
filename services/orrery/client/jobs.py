"""`orrery jobs`: what an operator asks a gateway about its jobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from orrery.client.options import Connection, Json, Limit, expanded

if TYPE_CHECKING:
    from orrery.sdk.results import Answer

app = typer.Typer(no_args_is_help=True, help="Lists, inspects, cancels and revives jobs.")

COLUMNS = ("id", "status", "stage", "progress", "position", "eta", "tenant", "priority", "created")


@app.command("list")
@expanded
def listing(connection: Connection, limit: Limit = 20, after: str | None = None, as_json: Json = False) -> None:
    """The latest jobs, or those before the job AFTER."""
    with connection.client() as client:
        _show(_sent(client.list(limit=limit, after=after)), as_json=as_json)


@app.command()
@expanded
def dead(connection: Connection, limit: Limit = 20, as_json: Json = False) -> None:
    """Jobs whose every attempt ended with its worker gone."""
    with connection.client() as client:
        _show(_sent(client.dead(limit=limit)), as_json=as_json)


@app.command()
@expanded
def inspect(job_id: str, connection: Connection, as_json: Json = False) -> None:
    """One job with all its tasks."""
    with connection.client() as client:
        _show_one(_sent(client.get(job_id)), as_json=as_json)


@app.command()
@expanded
def cancel(job_id: str, connection: Connection, as_json: Json = False) -> None:
    """Ends a job; its device is free at the next step."""
    with connection.client() as client:
        _say(_sent(client.cancel(job_id)), as_json=as_json)


@app.command()
@expanded
def requeue(job_id: str, connection: Connection, as_json: Json = False) -> None:
    """Gives a dead job fresh attempts; what it had done stays done."""
    with connection.client() as client:
        _say(_sent(client.requeue(job_id)), as_json=as_json)


@app.command()
@expanded
def replay(job_id: str, connection: Connection, as_json: Json = False) -> None:
    """Sends the webhook about a job's end once more."""
    with connection.client() as client:
        _say(_sent(client.replay_webhook(job_id)), as_json=as_json)


def _sent(answer: Answer) -> dict[str, Any]:
    """What the gateway said, with what this version does not know and without what was not said."""
    return answer.model_dump(mode="json", exclude_unset=True)


def _show(page: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(page))
        return
    rows = [COLUMNS, *(_row(job) for job in page["data"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    return (
        job["id"],
        job["status"],
        job["stage"] or "-",
        f"{job['progress']} %",
        _or_dash(job["queue_position"]),
        _or_dash(job["eta_seconds"], "{:.0f} s"),
        job["tenant"],
        job["priority"],
        _time(job["created_at"]),
    )


def _show_one(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(job))
        return
    for name, cell in zip(COLUMNS, _row(job), strict=True):
        typer.echo(f"{name:10} {cell}")
    for name in ("model", "workflow", "size", "num_frames", "seed", "webhook_url"):
        typer.echo(f"{name:10} {_or_dash(job[name])}")
    typer.echo(f"{'expires':10} {_time(job['expires_at'])}")
    if job["error"]:
        typer.echo(f"{'error':10} {job['error']['code']}: {job['error']['message']}")
    for task in job["timeline"]:
        typer.echo(_task(task))


def _task(task: dict[str, Any]) -> str:
    """`  denoise  running  step 12/35  attempt 2  resumable at 10  lost 1  on worker-3`."""
    words = [f"  {task['id']:20} {task['state']:10}"]
    if task["num_steps"]:
        words.append(f"step {task['step']}/{task['num_steps']}")
    words += [f"{label} {task[name]}" for name, label in TOLD.items() if task[name]]
    return "  ".join(words)


TOLD = {
    "attempt": "attempt",
    "checkpoint_step": "resumable at",
    "preemptions": "preempted",
    "leases_lost": "lost",
    "worker": "on",
}


def _say(answer: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(answer) if as_json else f"{answer['id']} {answer['status']}")


def _or_dash(value: Any, form: str = "{}") -> str:
    return "-" if value is None else form.format(value)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
