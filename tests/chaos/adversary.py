"""Who kills, freezes, cuts off and restarts: a schedule drawn from a seed, the same for the same seed and duration."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from chaos.fleet import LEASE_SECONDS, Fleet
from stubs import stubs_of


@dataclass(frozen=True)
class Blow:
    """At `at` seconds, `kind` to the stage number `target` (where it is one's turn)."""

    at: float
    kind: str
    target: int


def schedule(seed: int, duration: float, stages: int, *, every: float = 12.0) -> list[Blow]:
    """Every kind comes before any comes twice; the last quarter of a minute is left in peace, so that work can end."""
    chance = random.Random(seed)
    blows: list[Blow] = []
    kinds: list[str] = []
    at = chance.uniform(2.0, every / 2)
    while at < duration - 15.0:
        if not kinds:
            kinds = chance.sample(sorted(KINDS), len(KINDS))
        blows.append(Blow(round(at, 2), kinds.pop(), chance.randrange(stages)))
        at += chance.uniform(0.5, 1.5) * every
    return blows


async def attack(fleet: Fleet, blows: list[Blow], tell: Callable[[str], None]) -> None:
    started = asyncio.get_running_loop().time()
    for blow in blows:
        await asyncio.sleep(max(0.0, started + blow.at - asyncio.get_running_loop().time()))
        tell(f"{blow.at:7.2f} s  {blow.kind} {blow.target}")
        await KINDS[blow.kind](fleet, blow.target)


async def _kill_worker(fleet: Fleet, target: int) -> None:
    fleet.stages[target].send(signal.SIGKILL)


async def _freeze_worker(fleet: Fleet, target: int) -> None:
    """Longer than its lease: somebody else takes its work, and it must notice."""
    stage = fleet.stages[target]
    process = stage.process
    if stage.send(signal.SIGSTOP):
        await asyncio.sleep(1.7 * LEASE_SECONDS)
        if process is stage.process:
            stage.send(signal.SIGCONT)


async def _restart_worker(fleet: Fleet, target: int) -> None:
    fleet.stages[target].send(signal.SIGTERM)


async def _cut_off_worker(fleet: Fleet, target: int) -> None:
    await fleet.relays[target].cut(1.7 * LEASE_SECONDS)


async def _kill_triton(fleet: Fleet, target: int) -> None:
    triton = fleet.triton_of(fleet.stages[target])
    if triton is not None:
        triton.kill()


async def _kill_stub(fleet: Fleet, target: int) -> None:
    """The process in which the denoiser runs; its Triton lives on, and does not start it again."""
    triton = fleet.triton_of(fleet.stages[target])
    with suppress(psutil.NoSuchProcess):
        for stub in [] if triton is None else stubs_of(triton, "denoiser"):
            stub.kill()


async def _kill_gateway(fleet: Fleet, _: int) -> None:
    fleet.gateway.send(signal.SIGKILL)


async def _kill_valkey(fleet: Fleet, _: int) -> None:
    """It comes back with its append-only file."""
    fleet.valkey.send(signal.SIGKILL)


async def _kill_dispatcher(fleet: Fleet, _: int) -> None:
    fleet.dispatcher.send(signal.SIGKILL)


KINDS: dict[str, Callable[[Fleet, int], Awaitable[None]]] = {
    "kill_worker": _kill_worker,
    "freeze_worker": _freeze_worker,
    "restart_worker": _restart_worker,
    "cut_off_worker": _cut_off_worker,
    "kill_triton": _kill_triton,
    "kill_stub": _kill_stub,
    "kill_gateway": _kill_gateway,
    "kill_valkey": _kill_valkey,
    "kill_dispatcher": _kill_dispatcher,
}
