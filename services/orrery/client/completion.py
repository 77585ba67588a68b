"""What the shell offers after an option."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

from orrery.worlds.catalog import CATALOG
from orrery.worlds.errors import OrreryError


def complete_with(values: Iterable[str]) -> Callable[[str], list[str]]:
    known = [str(value) for value in values]

    def complete(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return complete


def complete_models(context: typer.Context, incomplete: str) -> list[str]:
    """Those that the gateway serves; if none answers, those that there are."""
    from orrery.sdk import Client, Retries

    names = list(CATALOG)
    options = {name: context.params[name] for name in ("url", "api_key") if context.params.get(name)}
    try:
        with Client(**options, retries=Retries(times=0)) as client:
            names = [model.id for model in client.models()]
    except OrreryError:
        pass  # nobody is there to be told, and the names are only an offer
    return [name for name in names if name.startswith(incomplete)]
