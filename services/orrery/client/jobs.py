"""`orrery jobs`: what an operator asks a gateway about its jobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrery.client.options import DEFAULT_URL, Url

if TYPE_CHECKING:
    from orrery.client.api import Gateway

app = typer.Typer(no_args_is_help=True, help="Lists, inspects, cancels and revives jobs.")

Json = Annotated[bool, typer.Option("--json", help="Prints what the gateway answers, as JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many jobs.")]

COLUMNS = ("id", "status", "stage", "progress", "position", "eta", "tenant", "priority", "created")


@app.command("list")
def listing(url: Url = DEFAULT_URL, limit: Limit = 20, after: str | None = None, as_json: Json = False) -> None:
    """The latest jobs, or those before the job AFTER."""
    with _gateway(url) as gateway:
        _show(gateway.videos(limit=limit, after=after), as_json=as_json)


@app.command()
def dead(url: Url = DEFAULT_URL, limit: Limit = 20, as_json: Json = False) -> None:
    """Jobs whose every attempt ended with its worker gone."""
    with _gateway(url) as gateway:
        _show(gateway.dead_jobs(limit=limit), as_json=as_json)


@app.command()
def inspect(job_id: str, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """One job with all its tasks."""
    with _gateway(url) as gateway:
        _show_one(gateway.video(job_id), as_json=as_json)


@app.command()
def cancel(job_id: str, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Ends a job; its device is free at the next step."""
    with _gateway(url) as gateway:
        _say(gateway.act(job_id, "cancel"), as_json=as_json)


@app.command()
def requeue(job_id: str, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Gives a dead job fresh attempts; what it had done stays done."""
    with _gateway(url) as gateway:
        _say(gateway.act(job_id, "requeue"), as_json=as_json)


@app.command()
def replay(job_id: str, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Sends the webhook about a job's end once more."""
    with _gateway(url) as gateway:
        _say(gateway.act(job_id, "webhook:replay"), as_json=as_json)


def _gateway(url: str) -> Gateway:
    from orrery.client.api import Gateway  # a gateway's own machine may have no HTTP client

    return Gateway(url)


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
