"""Answers leave in as few writes as they can, and nothing is held for longer than a turn of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orrery.gateway.edge.gathering import MOST_HELD, Gathered


class Written(asyncio.Transport):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.pieces: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: Any) -> None:
        self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed_after is not None

    def close(self) -> None:
        self.closed_after = len(self.pieces)


@pytest.fixture
def written() -> Written:
    return Written()


async def test_head_and_body_are_one_write(written: Written) -> None:
    gathered = Gathered(written, asyncio.get_running_loop())
    for piece in (b"head", b"", b"body", b""):
        gathered.write(piece)
    await asyncio.sleep(0)
    assert written.pieces == [b"headbody"]


async def test_a_piece_alone_does_not_wait_for_another(written: Written) -> None:
    gathered = Gathered(written, asyncio.get_running_loop())
    for piece in (b"event: one\n\n", b"event: two\n\n"):
        gathered.write(piece)
        await asyncio.sleep(0)
    assert written.pieces == [b"event: one\n\n", b"event: two\n\n"]


async def test_pieces_keep_their_order_and_are_never_more_than_one_held(written: Written) -> None:
    """A body that is written without a pause may be larger than memory."""
    gathered = Gathered(written, asyncio.get_running_loop())
    pieces = [b"head", b"a" * MOST_HELD, b"b" * (MOST_HELD + 1), b"c", b"d", b"e"]
    for count, piece in enumerate(pieces, start=1):
        gathered.write(piece)
        assert sum(map(len, pieces[:count])) - sum(map(len, written.pieces)) <= MOST_HELD
    await asyncio.sleep(0)
    assert b"".join(written.pieces) == b"".join(pieces)
    assert len(written.pieces) == 4


async def test_what_is_held_leaves_before_the_connection_is_closed(written: Written) -> None:
    gathered = Gathered(written, asyncio.get_running_loop())
    gathered.write(b"last")
    assert not gathered.is_closing()
    gathered.close()
    assert (written.pieces, written.closed_after, gathered.is_closing()) == ([b"last"], 1, True)
    await asyncio.sleep(0)
    assert written.pieces == [b"last"]
    assert gathered.get_extra_info("peername") == ("127.0.0.1", 1)
