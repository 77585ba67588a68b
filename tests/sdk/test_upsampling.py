"""Asking for a rewritten prompt from Python and from the command line, and hearing what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from client.terminal import shell_of
from gateway.rig import UPSAMPLED, rig_of
from gateway.samples import png
from gateway.served import served
from orrery.gateway.settings import PromptUpsampling
from orrery.sdk import AsyncClient
from orrery.worlds.errors import InvalidField
from sdk.conftest import QUICK

PROMPT = "a robot arm stacks boxes"


@pytest.mark.parametrize("reference", [None, png(8, 8)], ids=["json", "form"])
async def test_a_world_says_which_prompt_it_is_made_from(reference: bytes | None) -> None:
    offering: Any = {"prompt_upsampling": PromptUpsampling.ON_REQUEST}
    async with rig_of(**offering) as rig, served(rig.app) as http, AsyncClient(str(http.base_url), retries=QUICK) as client:
        world = await client.create(PROMPT, prompt_upsampling=True, reference=reference)
        assert (world.upsampled_prompt, world.upsampling and world.upsampling.outcome) == (None, "pending")
        await rig.work(world.id)
        done = await client.get(world.id)
        assert (done.upsampled_prompt, done.upsampling and done.upsampling.outcome) == (UPSAMPLED, "upsampled")
        plain = await client.create(PROMPT, prompt_upsampling=False, reference=reference)
        assert (plain.upsampled_prompt, plain.upsampling) == (None, None)


async def test_where_there_is_nobody_to_ask_the_error_is_the_servers_own() -> None:
    async with rig_of() as rig, served(rig.app) as http, AsyncClient(str(http.base_url), retries=QUICK) as client:
        with pytest.raises(InvalidField) as refused:
            await client.create(PROMPT, prompt_upsampling=True)
    assert (refused.value.field, refused.value.allowed) == ("prompt_upsampling", [False])


@pytest.mark.parametrize(("option", "asked"), [("--prompt-upsampling", True), ("--no-prompt-upsampling", False)])
async def test_the_command_line_asks_or_declines(tmp_path: Path, option: str, *, asked: bool) -> None:
    always: Any = {"prompt_upsampling": PromptUpsampling.ALWAYS}
    async with shell_of(tmp_path, **always) as shell, shell.working():
        done = await shell.run("generate", PROMPT, option, "-o", "world.mp4")
        assert done.status == 0, done.err
        (job,) = (await shell.rig.jobs.list(after=None, limit=10, order="asc")).jobs
    assert job.request["prompt_upsampling"] is asked
