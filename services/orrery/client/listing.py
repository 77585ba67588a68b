"""`orrery models [NAME]`: what is served and what may be asked of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orrery.client.completion import complete_models
from orrery.client.options import Connection, Json, expanded
from orrery.worlds.errors import UnknownModel

if TYPE_CHECKING:
    from orrery.sdk import Model


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Models, and the commands in whose place a model may stand."""
    group: Any = context.parent.command if context.parent else None
    verbs = [name for name in group.commands if name.startswith(incomplete)] if group else []
    return [*verbs, *complete_models(context, incomplete)]


Name = Annotated[str | None, typer.Argument(autocompletion=_complete, help="Shows the parameters of this one.")]


@expanded
def served(connection: Connection, name: Name = None, as_json: Json = False) -> None:
    """The served models, or all parameters of one."""
    with connection.client() as client:
        found = client.models()
    if name is not None:
        found = (_named(found, name),)
    if as_json:
        typer.echo(json.dumps([model.model_dump(mode="json", exclude_unset=True) for model in found]))
    elif name is None:
        for model in found:
            typer.echo(_line(model))
    else:
        _show(found[0])


def _named(found: tuple[Model, ...], name: str) -> Model:
    for model in found:
        if model.id == name:
            return model
    raise UnknownModel(f"model {name!r} is not served there", field="model", allowed=[model.id for model in found])


def _line(model: Model) -> str:
    words = [model.id, ", ".join(model.workflows)]
    words += ["default"] * model.default + ["random weights"] * model.random_weights
    return "  ".join(words)


def _show(model: Model) -> None:
    typer.echo(_line(model))
    for workflow, parameters in model.parameters.items():
        typer.echo(f"\n{workflow}")
        for name, told in parameters.items():
            typer.echo(f"  {name:24} {_range(told)}")


def _range(told: Any) -> str:
    words = [f"{word} {value}" for word, value in told.items()] if isinstance(told, dict) else [str(told)]
    return "; ".join(words)
