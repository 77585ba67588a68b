"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from orrery.worlds.environment import DEFAULT_PORT

Url = Annotated[str, typer.Option(envvar="ORRERY_URL", help="The gateway.")]
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
