"""What every request handler of one app shares."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from orrery.artifacts import ArtifactStore
from orrery.gateway.following import Following
from orrery.gateway.forecast import Forecaster, GatewayJobs
from orrery.gateway.metrics import Metrics
from orrery.gateway.references import References
from orrery.gateway.rendering import Rendering
from orrery.gateway.settings import GatewaySettings
from orrery.jobs.batches.store import Batches
from orrery.jobs.deliveries import Deliveries
from orrery.jobs.files import Files
from orrery.telemetry.tracing import UNTRACED, Tracing
from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.errors import InvalidField, UnknownModel


@dataclass(frozen=True)
class Gateway:
    """`decoding` bounds how many uploads are decoded at a time, and with it the memory they take."""

    settings: GatewaySettings
    jobs: GatewayJobs
    artifacts: ArtifactStore
    metrics: Metrics
    decoding: asyncio.Semaphore
    forecaster: Forecaster
    following: Following
    deliveries: Deliveries
    rendering: Rendering
    files: Files
    batches: Batches
    references: References = field(default_factory=References)
    tracing: Tracing = UNTRACED

    def model(self, name: object) -> ModelSpec:
        """A served model; None means the default one. Raises `UnknownModel` with those that are served."""
        if name is None:
            return self.settings.served(self.settings.default_model)
        if not isinstance(name, str):
            raise InvalidField("model must be a string", field="model", allowed=list(self.settings.models))
        if name not in self.settings.models:
            raise UnknownModel(f"model {name!r} is not served here", field="model", allowed=list(self.settings.models))
        return self.settings.served(name)


def gateway_of(request: Request) -> Gateway:
    """The one of the app that the request came to."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def _resolved(request: Request) -> Gateway:
    """A coroutine, for FastAPI has plain functions wait for a thread."""
    return gateway_of(request)


Context = Annotated[Gateway, Depends(_resolved)]
