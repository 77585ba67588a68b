"""The command `orrery`. Each subcommand imports what it needs when it runs: the gateway's machine may have no torch."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from orrery.client import evaluation, jobs
from orrery.client.options import DEFAULT_URL, Url
from orrery.worlds.environment import DEFAULT_PORT
from orrery.worlds.errors import OrreryError

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help="Serves Cosmos world models.")
app.add_typer(jobs.app, name="jobs")
app.add_typer(evaluation.app, name="eval")

Home = Annotated[Path, typer.Option(help="Where an embedded Orrery keeps jobs, artifacts and logs.")]
Models = Annotated[Path, typer.Option(help="The folder of components.")]


@app.command()
def generate(
    prompt: str,
    url: Url = DEFAULT_URL,
    image: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Starts the world from this image.")] = None,
    video: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Continues this clip.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("out.mp4"),
    model: str | None = None,
    negative_prompt: str | None = None,
    size: str | None = None,
    num_frames: int | None = None,
    num_conditional_frames: int | None = None,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    seed: int | None = None,
    sampler: str | None = None,
) -> None:
    """Makes one video and writes it to a file."""
    from rich.console import Console

    from orrery.client.api import Gateway
    from orrery.client.generate import generate as generate_video

    if image and video:
        raise typer.BadParameter("give --image or --video, not both")
    frames = num_conditional_frames or (5 if video else None)
    asked: dict[str, str | int | float | None] = {
        "prompt": prompt,
        "model": model,
        "negative_prompt": negative_prompt,
        "size": size,
        "num_frames": num_frames,
    }
    asked |= {"num_inference_steps": num_inference_steps, "guidance_scale": guidance_scale, "seed": seed, "sampler": sampler}
    asked |= {"num_conditional_frames": frames, "output_format": "mkv" if output.suffix == ".mkv" else None}
    fields = {name: value for name, value in asked.items() if value is not None}
    console = Console(stderr=True)
    with Gateway(url) as gateway:
        job = generate_video(gateway, fields, image or video, output, console)
        _describe(job, output, untrained=gateway.has_random_weights(job["model"]))


@app.command()
def up(
    home: Home = Path(".orrery"),
    models_dir: Models = Path(".orrery/models"),
    port: Annotated[int, typer.Option(help="The gateway's port.")] = DEFAULT_PORT,
    grpc_port: Annotated[int | None, typer.Option(help="The gateway's gRPC port; any free one if not given.")] = None,
    host: Annotated[str, typer.Option(help="The gateway's address.")] = "127.0.0.1",
    model: Annotated[str | None, typer.Option(help="The default model.")] = None,
    transformer: Annotated[str, typer.Option(help="in_process, or bls: as a Triton model of its own.")] = "in_process",
    triton_port: Annotated[int | None, typer.Option(help="Triton's gRPC port; any free one if not given.")] = None,
    stages: Annotated[int, typer.Option(min=1, help="How many stage processes share the work.")] = 1,
) -> None:
    """Runs everything on this machine until Ctrl-C."""
    from orrery.embedded.settings import on_free_ports

    settings = on_free_ports(home, _components(models_dir), gateway_port=port, grpc_port=grpc_port, triton_port=triton_port)
    settings = replace(settings, gateway_host=host, model=model, transformer=transformer, stages=stages)
    asyncio.run(_up(settings))


@app.command()
def demo(
    home: Home = Path(".orrery/demo"),
    models_dir: Models = Path(".orrery/models"),
    output: Annotated[Path, typer.Option("--output", "-o")] = Path("demo-output/world.mp4"),
    prompt: str = "A red ball rolls across a wooden table in warm light.",
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
    from orrery.client.stage import run_stage

    _logging()
    run_stage(os.environ)


async def _up(settings: Any) -> None:
    from orrery.embedded.up import run_until_interrupted

    await run_until_interrupted(settings, say=lambda text: typer.echo(text, err=True))


def _components(folder: Path) -> Path:
    if not any(folder.glob("*/component.json")):
        raise typer.BadParameter(f"{folder} holds no components; `make models` builds the tiny random ones there")
    return folder


def _describe(job: dict[str, Any], output: Path, *, untrained: bool) -> None:
    typer.echo(
        f"{output}: {job['num_frames']} frames of {job['size']} at {job['fps']} fps, seed {job['seed']}, job {job['id']}"
    )
    if untrained:
        typer.echo(f"{job['model']} has random weights: this is noise, not a world", err=True)


def _logging() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Runs the command; a typed error becomes one line and exit status 1, 2 where the request was at fault."""
    try:
        app()
    except OrreryError as error:
        detail = f" (field {error.field}; allowed: {error.allowed})" if error.field else ""
        typer.echo(f"orrery: {error.message}{detail}", err=True)
        raise SystemExit(2 if 400 <= error.http_status < 500 else 1) from None


if __name__ == "__main__":
    main()
