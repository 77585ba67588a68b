"""Where a call may go: looked up once, every address checked, and that very address called."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is handed out. Python takes more for global, such as `::127.0.0.1` and a network's own NAT64."""

METADATA = frozenset({IPv4Address("168.63.129.16")})
"""Public addresses that a cloud's machines reach their own host under."""


class AddressRefused(Exception):
    """The name leads, with one of its addresses at least, into a private network."""


class AddressUnknown(Exception):
    """The name leads nowhere, for now."""


async def address_of(host: str, port: int, *, allow_private: bool) -> str:
    """An address of `host` to connect to: asking again for the name could give another one. Raises the errors above."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressUnknown(f"{host} is not known: {error}") from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    if not addresses:
        raise AddressUnknown(f"{host} has no address")
    if not allow_private and not all(map(is_public, addresses)):
        raise AddressRefused(f"{host} leads to a private address")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether the address, and every other one inside of it, is one of the open internet."""
    address = ip_address(text.partition("%")[0])
    return "%" not in text and all(map(_is_open, _readings(address)))


def _is_open(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        carried = bool(address.ipv4_mapped) or address in NAT64  # what is carried is looked at beside it
        return (address in GLOBAL_UNICAST or carried) and (address.is_global or carried)
    return address.is_global and not address.is_multicast and address not in METADATA


def _readings(address: Address) -> Iterator[Address]:
    """An IPv6 address may carry an IPv4 one, to which a gateway on the way would lead."""
    yield address
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        if address.sixtofour:
            yield address.sixtofour
        if address.teredo:
            yield from address.teredo
        if address in NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
        if address.is_site_local:
            yield IPv4Address("192.168.0.0")
