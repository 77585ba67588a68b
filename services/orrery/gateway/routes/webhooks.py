"""`/v1/videos/{id}/webhook:replay`: a receiver that lost a message asks for it again."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from orrery.gateway.context import Context
from orrery.gateway.edge.callers import ADMIN
from orrery.gateway.errors import WebhooksNotSetUp
from orrery.gateway.routes.videos import checked_id
from orrery.worlds.errors import JobNotFinished

router = APIRouter(prefix="/v1/videos")


@router.post("/{job_id}/webhook:replay", status_code=202, dependencies=[ADMIN])
async def replay(gateway: Context, job_id: str) -> Response:
    """Has the dispatcher send the message about the job's end again, under the same id."""
    if not gateway.settings.webhooks:
        raise WebhooksNotSetUp("webhooks are not set up here: there is no secret to sign them")
    job = await gateway.jobs.get(checked_id(job_id))
    if not job.state.ended:
        raise JobNotFinished(f"job {job.id} is {job.state}: there is no message about its end yet")
    await gateway.deliveries.ask_again(job.id)
    return JSONResponse({"id": job.id, "object": "webhook.replay", "status": "scheduled"}, status_code=202)
