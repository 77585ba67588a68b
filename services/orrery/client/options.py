"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Url = Annotated[str, typer.Option(envvar="ORRERY_URL", help="The gateway.")]
DEFAULT_URL = "http://127.0.0.1:8080"
