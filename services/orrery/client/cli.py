"""The command `orrery`. Each subcommand imports what it needs when it runs: the gateway's machine may have no torch."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from orrery.client import batches, evaluation, jobs, keys, models, watching, worlds
from orrery.worlds.components import PACKAGED, installed
from orrery.worlds.environment import DEFAULT_PORT
from orrery.worlds.errors import OrreryError

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help="Serves Cosmos world models.")
for group in (worlds, batches, watching):
    app.add_typer(group.app)
app.add_typer(jobs.app, name="jobs")
app.add_typer(evaluation.app, name="eval")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")

Home = Annotated[Path, typer.Option(help="Where an embedded Orrery keeps jobs, artifacts and logs.")]
Models = Annotated[Path | None, typer.Option(help="The folder of components; the miniature's if not given.")]


@app.command()
def up(
    home: Home = Path(".orrery"),
    models_dir: Models = None,
    port: Annotated[int, typer.Option(help="The gateway's port.")] = DEFAULT_PORT,
    grpc_port: Annotated[int | None, typer.Option(help="The gateway's gRPC port; any free one if not given.")] = None,
    host: Annotated[str, typer.Option(help="The gateway's address.")] = "127.0.0.1",
    model: Annotated[list[str] | None, typer.Option(help="To be served; of several the first is the default.")] = None,
    transformer: Annotated[str, typer.Option(help="in_process, or bls: as a Triton model of its own.")] = "in_process",
    triton_port: Annotated[int | None, typer.Option(help="Triton's gRPC port; any free one if not given.")] = None,
    triton_http_port: Annotated[int | None, typer.Option(help="Triton's HTTP port; it speaks none if not given.")] = None,
    stages: Annotated[int, typer.Option(min=1, help="How many stage processes share the work.")] = 1,
) -> None:
    """Runs everything on this machine until Ctrl-C."""
    from orrery.embedded.settings import on_free_ports

    keys.refuse_exposure(host)
    settings = on_free_ports(home, _components(models_dir), gateway_port=port, grpc_port=grpc_port, triton_port=triton_port)
    settings = replace(settings, gateway_host=host, models=tuple(model or ()), transformer=transformer, stages=stages)
    settings = replace(settings, triton_http_port=triton_http_port)
    asyncio.run(_up(settings))


@app.command()
def demo(
    home: Home = Path(".orrery/demo"),
    models_dir: Models = None,
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("demo-output/world.mp4"),
    prompt: str = "A red circle moves to the right on a white background.",
) -> None:
    """Starts everything, makes one video from a prompt, checks it, and stops everything."""
    from orrery.client.demo import run_demo

    asyncio.run(run_demo(home, _components(models_dir), output, prompt))


@app.command()
def gateway() -> None:
    """The HTTP gateway (settings from ORRERY_* variables)."""
    from orrery.gateway.serve import main as serve

    serve()


@app.command()
def dispatcher() -> None:
    """The dispatcher (settings from ORRERY_* variables)."""
    from orrery.dispatcher.serve import main as serve

    serve()


@app.command()
def stage() -> None:
    """Triton and its worker (settings from ORRERY_* variables)."""
    # Read when gRPC is imported. Its handlers of a fork write lines that are no JSON; what we fork becomes another program.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from orrery.client.stage import run_stage
    from orrery.telemetry import logs

    logs.configure()
    run_stage(os.environ)


async def _up(settings: Any) -> None:
    from orrery.embedded.up import run_until_interrupted

    await run_until_interrupted(settings, say=lambda text: typer.echo(text, err=True))


def _components(folder: Path | None) -> Path:
    if folder is None:
        return PACKAGED
    if not installed(folder):
        raise typer.BadParameter(f"{folder} holds no components; `make models` builds the tiny random ones in .orrery/models")
    return folder


def main() -> None:
    """Runs the command. A typed error becomes one line, with `--json` one of JSON, and an exit status of its own."""
    try:
        app()  # ends with 2 for a wrong command line, and with 130 when it is interrupted
    except OrreryError as error:
        raise SystemExit(_tell(error)) from None


def _tell(error: OrreryError) -> int:
    from orrery.client.exits import exit_of

    detail = f" (field {error.field}; allowed: {error.allowed})" if error.field else ""
    typer.echo(f"orrery: {error.message}{detail}", err=True)
    if "--json" in sys.argv:
        typer.echo(json.dumps({"error": error.to_dict()}))
    return exit_of(error)


if __name__ == "__main__":
    main()
