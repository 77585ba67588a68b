"""What the lines of a batch may ask for. Every endpoint that takes a job can be one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from orrery.gateway.context import Gateway
from orrery.gateway.forecast import Forecast
from orrery.gateway.imaging import image_view, settle_images, take_image
from orrery.gateway.submitting import JOB_ID_PREFIX
from orrery.gateway.taking import settle_body, take_body, without_reference
from orrery.gateway.terms import Terms, batch_terms
from orrery.gateway.views import job_view
from orrery.jobs.batches.records import Order
from orrery.jobs.records import Job

KEPT_SECONDS = 24 * 3600.0
"""How long a job outlives the window of its batch at least, so that it is there when the results are written."""


@dataclass(frozen=True)
class Child:
    """One line of a batch. Its jobs' ids follow from it: however often and by whomever it is submitted, they are the same."""

    order: Order
    line: int
    custom_id: str = ""
    """What its jobs say of it; nothing else goes by it."""

    def job_id(self, number: int = 0) -> str:
        return JOB_ID_PREFIX + self._digest(number)

    def job_ids(self, count: int) -> list[str]:
        return [self.job_id(number) for number in range(count)]

    @property
    def request_id(self) -> str:
        return "batch_req_" + self._digest("request")

    def _digest(self, part: object) -> str:
        return hashlib.sha256(json.dumps([self.order.id, self.line, part]).encode()).hexdigest()[:32]

    def terms(self, gateway: Gateway, body: Mapping[str, Any], number: int = 0) -> Terms:
        at_least = self.order.expires_at - time.time() + KEPT_SECONDS
        tenant, job_id = self.order.tenant, self.job_id(number)
        notes = {"batch": {"id": self.order.id, "custom_id": self.custom_id}}
        return batch_terms(body, gateway.settings, tenant=tenant, job_id=job_id, at_least=at_least, notes=notes)


class Endpoint(Protocol):
    def most_jobs(self, gateway: Gateway) -> int:
        """That one line may have."""
        ...

    def check(self, gateway: Gateway, child: Child, body: dict[str, Any]) -> None:
        """Every check of a body but that of its media. Raises as the call would."""
        ...

    async def submit(self, gateway: Gateway, child: Child, body: dict[str, Any]) -> int:
        """Submits the child's jobs; how many there are. Raises as the call would."""
        ...

    async def answer(self, gateway: Gateway, child: Child, body: dict[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:
        """The body of a response to `body`, from its completed jobs."""
        ...


class Videos:
    def most_jobs(self, gateway: Gateway) -> int:  # noqa: ARG002  a video is one job in every gateway
        return 1

    def check(self, gateway: Gateway, child: Child, body: dict[str, Any]) -> None:
        child.terms(gateway, body)
        rest, reference = without_reference(body)
        settle_body(gateway, rest, referenced=reference is not None, form=False)

    async def submit(self, gateway: Gateway, child: Child, body: dict[str, Any]) -> int:
        await take_body(gateway, body, child.terms(gateway, body), form=False)
        return 1

    async def answer(self, gateway: Gateway, child: Child, body: dict[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:  # noqa: ARG002
        """The `video` object: all of it is in the job."""
        return job_view(jobs[0], Forecast())


class Images:
    def most_jobs(self, gateway: Gateway) -> int:
        return max(gateway.model(name).max_outputs for name in gateway.settings.models)

    def check(self, gateway: Gateway, child: Child, body: dict[str, Any]) -> None:
        child.terms(gateway, body)
        settle_images(gateway, body)

    async def submit(self, gateway: Gateway, child: Child, body: dict[str, Any]) -> int:
        asked = settle_images(gateway, body)
        for index in range(len(asked.worlds)):
            await take_image(gateway, asked, index, child.terms(gateway, body, index))
        return len(asked.worlds)

    async def answer(self, gateway: Gateway, child: Child, body: dict[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:
        """As of the call, but `created` is when the last image was."""
        response_format = settle_images(gateway, body).response_format
        images = [await image_view(gateway, job, response_format, child.order.base_url) for job in jobs]
        return {"created": int(max(job.finished_at or 0 for job in jobs)), "data": images}


ENDPOINTS: dict[str, Endpoint] = {"/v1/videos": Videos(), "/v1/images/generations": Images()}
