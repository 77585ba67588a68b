"""`orrery eval`: whether what a running Orrery makes is what the prompts asked for."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrery.client.options import Connection, expanded

if TYPE_CHECKING:
    from rich.console import Console

    from orrery.evaluation.prompts import Prompt
    from orrery.evaluation.regions import Frames
    from orrery.evaluation.running import ClipMaker, Result, Terms

app = typer.Typer(no_args_is_help=True, help="Measures whether clips show what their prompts ask for.")

SHEET_CLIPS = 16


class Workflow(StrEnum):
    TEXT2WORLD = "text2world"
    IMAGE2WORLD = "image2world"


@app.command()
@expanded
def miniature(
    connection: Connection,
    prompts: Annotated[int, typer.Option(min=1, help="How many held-out prompts.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the prompts, and the seed of each clip.")] = 0,
    model: str = "miniature",
    workflow: Annotated[Workflow, typer.Option(help="image2world gives each scene's first frame too.")] = Workflow.TEXT2WORLD,
    steps: Annotated[int | None, typer.Option(min=1, help="The model's own number if not given.")] = None,
    sampler: Annotated[str | None, typer.Option(help="The model's own if not given.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Clips that are asked for at once.")] = 2,
    sheet: Annotated[Path | None, typer.Option(dir_okay=False, help="Where to draw a contact sheet, a PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Prints everything measured as one JSON object.")] = False,
    self_check: Annotated[bool, typer.Option(help="Judges the generator's own clips instead; needs no server.")] = False,
) -> None:
    """Colour, shape, direction and background of clips made from prompts that training never saw."""
    from rich.console import Console

    from orrery.evaluation.prompts import held_out_prompts
    from orrery.evaluation.running import Terms

    asked = held_out_prompts(prompts, seed)
    console = Console(stderr=True)
    if self_check:
        _print(_self_checked(asked, console), as_json=as_json)
        return
    terms = Terms(from_image=workflow is Workflow.IMAGE2WORLD, steps=steps, sampler=sampler)
    results = _over_http(connection, model, asked, terms, concurrency, console)
    if sheet is not None:
        _draw(results[:SHEET_CLIPS], sheet)
    about = {"model": model, "workflow": workflow.value, "prompts": prompts, "seed": seed, "steps": steps, "sampler": sampler}
    _print(about | _described(results), as_json=as_json)


def _over_http(
    connection: Connection, model: str, prompts: list[Prompt], terms: Terms, concurrency: int, console: Console
) -> list[Result]:
    """Raises `StageFailed` where the model's clips are of another size than the miniature's, and what the server refuses."""
    from orrery.client.clips import HttpClips
    from orrery.worlds.errors import StageFailed

    with connection.client() as client:
        clips = HttpClips(client, model)
        try:
            return _followed(prompts, clips, terms, concurrency, console)
        except ValueError as error:
            raise StageFailed(f"{model} makes clips that cannot be judged: {error}") from error
        finally:
            clips.cancel()


def _followed(prompts: list[Prompt], make: ClipMaker, terms: Terms, concurrency: int, console: Console) -> list[Result]:
    """The results, with a live line that says how many clips are there and how many of them are right so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from orrery.evaluation.running import evaluate

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    so_far: list[Result] = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("clips", total=len(prompts))

        def ended(result: Result) -> None:
            so_far.append(result)
            progress.update(task, advance=1, description=_line(so_far))

        return evaluate(prompts, make, terms, concurrency=concurrency, ended=ended)


def _line(results: list[Result]) -> str:
    """`colour 98 %  shape 91 %  direction 95 %  background 100 %`."""
    from orrery.evaluation.scores import by_prompt

    scores = by_prompt(result.verdict for result in results)
    return "  ".join(f"{name} {share['accuracy']:.0%}" for name, share in scores.items() if name != "all")


def _described(results: list[Result]) -> dict[str, Any]:
    from orrery.evaluation.scores import clip_record, report

    return report(results) | {"clips": [clip_record(result) for result in results]}


def _self_checked(prompts: list[Prompt], console: Console) -> dict[str, Any]:
    """How the generator's own clips score, as drawn and as published in H.264, and what other clips' captions score."""
    from orrery.evaluation.films import frames_of
    from orrery.evaluation.running import Terms
    from orrery.evaluation.scores import chance, report
    from orrery.miniature.drawing import frames
    from orrery.miniature.vocabulary import FPS
    from orrery.stages.movies import MP4, film

    scenes = {prompt.index: prompt.scene for prompt in prompts}

    def drawn(*_: Any, seed: int, **__: Any) -> Frames:
        return frames(scenes[seed])

    def published(*_: Any, seed: int, **__: Any) -> Frames:
        return frames_of(film(MP4, frames(scenes[seed]), FPS, lambda: None))

    kept = ("accuracy", "by_objects", "other_captions", "smoothness")
    found: dict[str, Any] = {"prompts": len(prompts)}
    for name, make in {"drawn": drawn, "h264": published}.items():
        whole = report(_followed(prompts, make, Terms(), 1, console))
        found[name] = {key: whole[key] for key in kept}
    return found | {"chance": chance([prompt.scene for prompt in prompts])}


def _draw(results: list[Result], path: Path) -> None:
    from orrery.evaluation.sheet import contact_sheet

    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(results).save(path, format="PNG")


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console

    from orrery.client.evaluation_tables import tables

    console = Console()
    for table in tables(found):
        console.print(table)
