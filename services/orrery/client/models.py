"""`orrery models`: what a gateway serves, and the weights on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from orrery.client.completion import complete_with
from orrery.client.listing import served
from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.components import COMPONENTS
from orrery.worlds.components import ComponentKind, verify
from orrery.worlds.errors import ComponentUnusable

if TYPE_CHECKING:
    from orrery.weights.inventory import Found, Stock


class Group(TyperGroup):
    """Words that name none of its commands are those of `served`: a model, or options, or none at all."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in own else ["served", *args])


app = typer.Typer(cls=Group, help="The served models (`models [NAME]`), and the weights of a folder of components.")
app.command("served")(served)

CATALOGUED = complete_with([*CATALOG, *COMPONENTS])
Folder = Annotated[Path, typer.Option("--models-dir", envvar="ORRERY_MODELS_DIR", help="The folder of components.")]
FOLDER = Path("models")
Json = Annotated[bool, typer.Option("--json", help="Prints one JSON object.")]


@app.command("list")
def list_(
    models_dir: Folder = FOLDER,
    digests: Annotated[bool, typer.Option("--verify", help="Reads every file, which takes its time.")] = False,
    as_json: Json = False,
) -> None:
    """The catalog: which components each model needs, and which of them are here; LoRAs too. The package has the miniature."""
    from orrery.weights.inventory import loras, stock

    found, beside = stock(models_dir, digests=digests), loras(models_dir, digests=digests)
    if as_json:
        models = [one.model_dump(mode="json") | {"complete": one.complete} for one in found]
        told = json.dumps({"models": models, "loras": [one.model_dump(mode="json") for one in beside]})
    else:
        told = "\n".join([*(line for one in found for line in _lines(one)), *_named_loras(beside)])
    typer.echo(told)


def _lines(stock: Stock) -> list[str]:
    head = f"{stock.model}  {'complete' if stock.complete else 'not complete'}  {stock.description}"
    return [head, *("  " + "  ".join(_words(one)).rstrip() for one in stock.components)]


def _named_loras(found: tuple[Found, ...]) -> list[str]:
    return ["loras", *("  " + "  ".join(_words(one)).rstrip() for one in found)] if found else []


def _words(one: Found) -> list[str]:
    size = "" if one.size is None else size_of(one.size)
    words = [f"{one.name:32}", f"{one.kind or '':16}", f"{one.state:10}", f"{size:>9}"]
    return words + [text for text in (one.source, one.problem) if text]


def size_of(count: int) -> str:
    """In the decimal units of the hub: 1 GB is 1e9 bytes."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


@app.command("verify")
def verify_(
    names: Annotated[list[str] | None, typer.Argument(help="Components or models; every component there if none.")] = None,
    models_dir: Folder = FOLDER,
    as_json: Json = False,
) -> None:
    """Reads every file again. Ends with 1 and names the first file that is not what its manifest says."""
    from orrery.weights.inventory import components_of, names_in

    wanted = components_of(names) if names else names_in(models_dir)
    if not wanted:
        raise ComponentUnusable(f"{models_dir} holds no component")
    checked = {name: verify(models_dir / name).fingerprint for name in wanted}
    lines = (f"verified {fingerprint} {name}" for name, fingerprint in checked.items())
    typer.echo(json.dumps({"verified": checked}) if as_json else "\n".join(lines))


@app.command("pull")
def pull_(
    names: Annotated[list[str], typer.Argument(help="Models or components of the catalog.", autocompletion=CATALOGUED)],
    models_dir: Folder = FOLDER,
    revision: Annotated[
        list[str] | None, typer.Option(help="Commit, branch or tag, for all or as COMPONENT=REVISION; main if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetches components from the hub of HF_ENDPOINT with the token of HF_TOKEN; goes on where it was broken off."""
    from orrery.client.fetching import watching
    from orrery.weights.hub import HuggingFaceHub
    from orrery.weights.inventory import specs_of
    from orrery.weights.pulling import pull

    specs, chosen = specs_of(names), dict(_named(one) for one in revision or ())
    hub = HuggingFaceHub()
    with watching() as watch:
        pulled = [pull(hub, spec, models_dir, chosen.get(spec.name, chosen.get("")), watch) for spec in specs]
    lines = (f"{one.name}  {size_of(one.fetched)} fetched  {one.source or 'was there'}" for one in pulled)
    typer.echo(json.dumps({"pulled": [one.model_dump() for one in pulled]}) if as_json else "\n".join(lines))


def _named(revision: str) -> tuple[str, str]:
    """`COMPONENT=REVISION` by the component's name; what names none is for all others, under no name."""
    name, equals, value = revision.partition("=")
    return (name, value) if equals else ("", revision)


@app.command("convert")
def convert_(
    file: Annotated[Path, typer.Argument(help="A released .pt file of a denoiser of Predict2.")],
    name: Annotated[str, typer.Option("--as", help="The component that it becomes.")],
    models_dir: Folder = FOLDER,
) -> None:
    """Makes a component of a released file, after holding every tensor to the network that it should be. Runs nothing in it."""
    from orrery.weights.converting import convert

    typer.echo(f"converted {convert(file, name, models_dir, say=_aside).fingerprint} {name}")


@app.command("add")
def add(
    folder: Annotated[Path, typer.Argument(help="As diffusers or transformers save it; its name is the component's.")],
    kind: Annotated[ComponentKind | None, typer.Option(help="The catalog's, if it names the component.")] = None,
) -> None:
    """Writes the manifest of a folder of weights that is there already."""
    from orrery.weights.manifests import describe

    typer.echo(f"described {describe(folder, kind, say=_aside).fingerprint} {folder.name}")


def _aside(text: str) -> None:
    typer.echo(text, err=True)
