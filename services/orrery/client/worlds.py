"""`orrery generate` and `orrery estimate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrery.client.options import Connection, Json, WorldOptions, expanded

if TYPE_CHECKING:
    from orrery.client.making import Made
    from orrery.client.specs import Wanted

app = typer.Typer()

Still = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Starts the world from this image.")]
Clip = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Continues this clip.")]
Specs = Annotated[
    list[Path] | None,
    typer.Option("--input", "-i", exists=True, dir_okay=False, help="Official Cosmos samples: JSON, JSONL or YAML."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The file, or with --input the folder.")]
Key = Annotated[str | None, typer.Option(help="Makes the same request once, however often it is sent.")]
Previews = Annotated[Path | None, typer.Option(file_okay=False, help="A folder for small pictures of what is being made.")]

ONLY_OF_VIDEOS = (
    *("num_frames", "seconds", "num_chunks", "chunk_size", "chunk_overlap", "fps", "num_conditional_frames"),
    *("output_format", "webhook_url", "prompt_upsampling"),
)

CLIP_FRAMES = 5
"""Of a clip that is continued; the official scripts know 1 and 5."""


@app.command()
@expanded
def generate(
    world: WorldOptions,
    connection: Connection,
    prompt: Annotated[str | None, typer.Argument()] = None,
    image: Still = None,
    video: Clip = None,
    specs: Specs = None,
    output: Output = None,
    idempotency_key: Key = None,
    previews: Previews = None,
    as_json: Json = False,
) -> None:
    """Makes a video from PROMPT, or all that --input asks for, and writes it to files.

    Options of the world are for all samples that do not say otherwise themselves.
    """
    from rich.console import Console

    from orrery.client.making import Maker
    from orrery.client.showing import Board

    wanted = _of_specs(specs, prompt, world, output) if specs else [_of_options(prompt, image, video, world, output)]
    with connection.client() as client:
        board = Board(client, Console(stderr=True))
        made = Maker(client, board, idempotency_key, previews).make(wanted)
        untrained = {model.id for model in client.models() if model.random_weights}
    _tell(made, untrained, as_json=as_json)


@app.command()
@expanded
def estimate(
    prompt: str, world: WorldOptions, connection: Connection, image: Still = None, video: Clip = None, as_json: Json = False
) -> None:
    """What such a video would cost and when it would be done. Nothing is made."""
    wanted = _of_options(prompt, image, video, world, None)
    with connection.client() as client:
        found = client.estimate(reference=wanted.reference, **wanted.parameters).model_dump(mode="json", exclude_unset=True)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if not isinstance(value, dict | list):
            typer.echo(f"{name:24} {'-' if value is None else value}")


def _of_options(prompt: str | None, image: Path | None, video: Path | None, world: WorldOptions, output: Path | None) -> Wanted:
    from orrery.client.specs.formats import Place, Wanted

    if not prompt:
        raise typer.BadParameter("give a prompt, or --input")
    if image and video:
        raise typer.BadParameter("give --image or --video, not both")
    path = output or Path("out.mkv" if world.output_format == "mkv" else "out.mp4")
    parameters = {"prompt": prompt} | _output_format(path) | world.given()
    if video:
        parameters.setdefault("num_conditional_frames", CLIP_FRAMES)
    return Wanted(Place(Path("--output"), None, 0), path, parameters, image or video)


def _of_specs(paths: Sequence[Path], prompt: str | None, world: WorldOptions, folder: Path | None) -> list[Wanted]:
    from dataclasses import replace

    from orrery.client.specs import read_specs

    if prompt:
        raise typer.BadParameter("give a prompt or --input, not both")
    return [
        replace(one, output=(folder or one.folder) / one.output, parameters=_shared(one, world) | one.parameters)
        for one in read_specs(paths)
    ]


def _shared(one: Wanted, world: WorldOptions) -> dict[str, Any]:
    """Of the options those that a sample of this kind can have."""
    given = world.given() | _output_format(one.output)
    without = ONLY_OF_VIDEOS if one.is_image else () if one.reference else ("num_conditional_frames",)
    return {name: value for name, value in given.items() if name not in without}


def _output_format(path: Path) -> dict[str, str]:
    """A file that is named as an MKV is to be one."""
    return {"output_format": "mkv"} if path.suffix == ".mkv" else {}


def _tell(made: Sequence[Made], untrained: set[str], *, as_json: bool) -> None:
    """Raises the first error, after all the others have been told."""
    for one in made:
        if as_json:
            typer.echo(json.dumps(_report(one)))
        elif one.error is None:
            typer.echo(_line(one))
        elif len(made) > 1:
            typer.echo(f"{one.wanted.place}: {one.error.message}", err=True)
    for model in sorted({str(one.world.model) for one in made if one.world} & untrained):
        typer.echo(f"{model} has random weights: this is noise, not a world", err=True)
    error = next((one.error for one in made if one.error is not None), None)
    if error is not None:
        raise error


def _line(one: Made) -> str:
    world = one.world
    if world is None:
        return str(one.path)
    return f"{one.path}: {world.num_frames} frames of {world.size} at {world.fps} fps, seed {world.seed}, job {world.id}"


def _report(one: Made) -> dict[str, Any]:
    job = {} if one.world is None else one.world.model_dump(mode="json", exclude_unset=True)
    told = {"output": None if one.error else str(one.path)}
    return job | told | ({"error": one.error.to_dict()} if one.error else {})
