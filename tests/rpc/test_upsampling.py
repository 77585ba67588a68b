"""Upsampled prompts over gRPC: asked for, refused and told as over HTTP."""

from __future__ import annotations

import grpc

from gateway.rig import UPSAMPLED
from orrery.gateway.settings import PromptUpsampling
from orrery.v1 import worlds_pb2 as v1
from rpc.conftest import Caller, calling, refusal


async def test_a_world_tells_the_prompt_that_it_was_made_from() -> None:
    async with calling(prompt_upsampling=PromptUpsampling.ON_REQUEST) as caller:
        done = await caller.worlds.Get(v1.GetRequest(id=await caller.made(prompt_upsampling=True)))
        assert (done.status, done.upsampled_prompt) == (v1.STATUS_COMPLETED, UPSAMPLED)
        assert done.parameters["prompt_upsampling"] is True
        plain = await caller.worlds.Get(v1.GetRequest(id=await caller.made()))
        assert (plain.HasField("upsampled_prompt"), plain.parameters["prompt_upsampling"]) == (False, False)


async def test_where_nothing_rewrites_prompts_asking_is_refused(caller: Caller) -> None:
    refused = await refusal(caller.create(prompt_upsampling=True))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.details["BadRequest"].field_violations[0].field == "prompt_upsampling"
