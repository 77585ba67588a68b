from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.rig import Rig, rig_of


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A gateway in this process, with job and artifact stores in memory."""
    async with rig_of() as rig:
        yield rig
