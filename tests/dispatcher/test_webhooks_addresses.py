"""Webhooks are never sent into private networks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dispatcher.hooks import called, complete, dispatching, receivers, settled
from dispatcher.receiver import receiving
from gateway.rig import eventually
from orrery.jobs.deliveries import MemoryDeliveries
from orrery.jobs.memory import MemoryJobs
from orrery.outbound.addresses import AddressRefused, AddressUnknown, address_of, is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "::127.0.0.1",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_any_dress_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_known(address: str) -> None:
    assert is_public(address)


class Names:
    """A resolver that gives its answers one after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in self.answers.pop(0)]


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Names:
    names = Names(*answers)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names, raising=False)
    return names


async def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, ["8.8.8.8", "10.0.0.1"], ["8.8.8.8"], [])
    with pytest.raises(AddressRefused):
        await address_of("hook.example", 443, allow_private=False)
    assert await address_of("hook.example", 443, allow_private=False) == "8.8.8.8"
    with pytest.raises(AddressUnknown):
        await address_of("hook.example", 443, allow_private=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433"])
async def test_nothing_is_sent_to_private_addresses(host: str) -> None:
    jobs, deliveries = MemoryJobs(), MemoryDeliveries()
    async with receiving() as receiver:
        told = receivers(allow_private=False, everyone=f"http://{host}:{receiver.port}/")
        async with dispatching(jobs, deliveries, told) as counted:
            await complete(jobs, "done")

            async def refused() -> bool:
                return counted.labels("refused")._value.get() == 1

            await eventually(refused)
            await settled(deliveries)
    assert receiver.calls == []


async def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is asked for a second time could lead elsewhere."""
    async with receiving() as receiver:
        names = resolve(monkeypatch, ["127.0.0.1"])
        jobs, deliveries = MemoryJobs(), MemoryDeliveries()
        url = f"http://rebound.example:{receiver.port}/hook"
        async with dispatching(jobs, deliveries, receivers(everyone=url)):
            await complete(jobs, "done")
            await called(receiver, 1)
    assert names.answers == []
    assert receiver.calls[0].headers["host"] == f"rebound.example:{receiver.port}"
