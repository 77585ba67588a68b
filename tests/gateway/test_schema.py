"""The OpenAPI document is true: `schemathesis` asks everything that it allows, and things that it does not."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.rig import Rig, Worker, rig_of
from gateway.samples import clip, png
from gateway.served import Brief, served
from gateway.test_service import POOLS
from orrery.gateway.app import ROUTERS
from orrery.gateway.openapi.operations import OPERATIONS
from orrery.gateway.waiting import end
from orrery.worlds.errors import JobNotFound

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "use_after_free",
    "ensure_resource_availability",
)
"""Without `positive_data_acceptance`: a body that fits the schema may still be refused, for what JSON Schema does not say.

Two fields that contradict each other (`size` and `aspect_ratio`, `seconds` and `num_frames`, a field under two of its names), a
file or a job that is not there, a prompt that the guardrail blocks, words that the model's text encoder has no room for, media
whose bytes are none, a webhook where none are set up. What a schema can say is held in `test_models.py`: there a body fits the
schema of its model exactly if it is taken.
"""

TESTS = Path(__file__).parents[1]

ENDLESS = "/v1/events"
"""The events of all jobs have no end, and whoever waits for the whole answer is given its first piece."""

FILM = clip(17, 176, 96)

SECONDS = 120
FEW = 50
"""Requests that would be too few to say anything."""

CONFIG = """
[phases.stateful]
max-steps = 8
[phases.stateful.inference]
algorithms = []
"""
"""Only links that the document has: others are guesses."""

ALONE = ("--phases", "examples,coverage,fuzzing", "--max-examples", "10")
IN_SEQUENCES = ("--phases", "stateful", "--mode", "positive", "--max-examples", "40")
RUNS = {
    "alone": ALONE,
    "sequences-of-videos": (*IN_SEQUENCES, "--include-path-regex", "^/v1/(videos|images)"),
    "sequences-of-files": (*IN_SEQUENCES, "--include-path-regex", "^/v1/(files|batches)"),
}


async def working(rig: Rig) -> None:
    """Does whatever is submitted, in pools that have somebody."""
    await rig.jobs.announce("worker-1", POOLS, seconds=3600)
    made = {"text2image": png(96, 96)}
    while True:
        page = await rig.jobs.list(after=None, limit=100, order="desc")
        for job in page.jobs:
            with suppress(JobNotFound):  # deleted meanwhile
                await Worker(rig.jobs, rig.artifacts, media=made.get(job.workflow, FILM)).finish(job.id)
        await asyncio.sleep(0.02)


async def schemathesis(url: httpx.URL, folder: Path, *options: str) -> tuple[int, str]:
    command = [str(Path(sys.executable).with_name("st")), "run", str(url.join("/openapi.json")), "--checks", ",".join(CHECKS)]
    fixed = ["--seed", "7", "--request-timeout", "20", "--generation-database", "none"]
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    hooks = {"SCHEMATHESIS_HOOKS": "gateway.schemathesis_hooks"} if "stateful" in options else {}
    process = await asyncio.create_subprocess_exec(
        *command,
        *fixed,
        *options,
        cwd=folder,
        env=environment | {"NO_COLOR": "1", "PYTHONPATH": str(TESTS)} | hooks,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(SECONDS):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
async def test_the_document_is_true(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    async with rig_of() as rig, served(Brief(rig.app, ENDLESS)) as client:
        work = asyncio.create_task(working(rig))
        code, output = await schemathesis(client.base_url, tmp_path, *options)
        assert not work.done(), output
        await end(work)
    assert code == 0, output
    asked = re.search(r"(\d+) generated, (\d+) passed", output)
    assert asked is not None, output
    assert asked[1] == asked[2]
    assert int(asked[1]) > FEW, output


def test_every_route_has_its_row_and_every_row_its_route() -> None:
    routes = {
        (method.lower(), route.path)  # type: ignore[attr-defined]
        for router in ROUTERS
        for route in router.routes
        for method in route.methods  # type: ignore[attr-defined]
    }
    assert routes == set(OPERATIONS)
    assert len({operation.id for operation in OPERATIONS.values()}) == len(OPERATIONS)
