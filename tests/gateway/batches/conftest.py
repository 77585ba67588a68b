"""A gateway whose batches do their steps when a test says so, and at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.batching import PAUSE
from gateway.rig import Rig, rig_of


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rig_of(**PAUSE) as rig:
        yield rig
