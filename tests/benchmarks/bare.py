"""A bare FastAPI app that answers as the gateway does, out of nothing: what the framework and the server cost by themselves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse


def app_of(body: dict[str, Any]) -> FastAPI:
    """`body` is what the gateway answered to a poll."""
    app = FastAPI()

    @app.post("/v1/videos")
    async def create(request: Request) -> Response:
        await request.json()
        return JSONResponse(body, status_code=202)

    @app.get("/v1/videos/{job_id}")
    async def read(job_id: str) -> Response:
        return JSONResponse(body)

    return app


if __name__ == "__main__":
    import json

    answer = json.loads(Path(sys.argv[2]).read_text())
    # The gateway's parser and event loop, whatever else is installed.
    served = {"http": "h11", "loop": "asyncio", "log_config": None, "access_log": False}
    uvicorn.run(app_of(answer), host="127.0.0.1", port=int(sys.argv[1]), **served)
