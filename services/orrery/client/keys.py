"""`orrery keys`: API keys of a gateway."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="API keys of a gateway.")

NOTE = "This is the key. It is shown once and kept nowhere; what follows belongs into the file of ORRERY_API_KEYS_FILE."


@app.command("new")
def new(
    tenant: Annotated[str, typer.Option(help="Whose key it is.")],
    admin: Annotated[bool, typer.Option(help="May see all tenants and do an operator's work.")] = False,
    model: Annotated[list[str] | None, typer.Option(help="A model that the key is for; all if none is named.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Quota: jobs in each window.")] = None,
    concurrent: Annotated[int | None, typer.Option(help="Quota: jobs at a time.")] = None,
    device_seconds: Annotated[float | None, typer.Option(help="Quota: seconds of devices in each window.")] = None,
    window_seconds: Annotated[int, typer.Option(help="The window of the quotas.")] = 3600,
    rate_per_second: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Key and entry as one JSON object.")] = False,
) -> None:
    """Makes a key. The key goes to standard error, its entry in TOML to standard output, to be appended to the file."""
    from pydantic import ValidationError

    from orrery.gateway.edge.keys import new_key

    quota = {"jobs": jobs, "concurrent": concurrent, "device_seconds": device_seconds, "window_seconds": window_seconds}
    fields: dict[str, Any] = {"tenant": tenant, "admin": admin, "models": tuple(model) if model else None}
    try:
        secret, key = new_key(**fields, quota=quota, rate_per_second=rate_per_second)
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    entry = key.model_dump(mode="json", exclude_none=True)
    if as_json:
        typer.echo(json.dumps({"key": secret, "entry": entry}))
        return
    typer.echo(f"{NOTE}\n\n{secret}\n", err=True)
    typer.echo(_toml(entry))


def _toml(entry: dict[str, Any]) -> str:
    """JSON's texts, numbers and lists are TOML's."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in entry.items() if not isinstance(value, dict)]
    quota = [f"{name} = {json.dumps(value)}" for name, value in entry["quota"].items()]
    return "\n".join(["[[keys]]", *plain, "[keys.quota]", *quota, ""])


def refuse_exposure(host: str) -> None:
    """Raises `typer.BadParameter` if a gateway may not listen on `host` as the environment is."""
    from pydantic import ValidationError

    from orrery.gateway.edge.settings import EdgeSettings
    from orrery.worlds.environment import from_environment

    try:
        from_environment(EdgeSettings, os.environ | {"ORRERY_HOST": host})
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
