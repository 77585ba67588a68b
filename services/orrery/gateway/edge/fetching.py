"""References that are URLs: fetched only if an operator allows it, and only from the open internet."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, NoReturn, cast

import httpx

from orrery.gateway.references import REFERENCE, URL_KEYS
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.sniffing import HEAD_BYTES, SIGNATURES, sniff
from orrery.outbound.addresses import AddressRefused, AddressUnknown, address_of
from orrery.worlds.errors import InvalidField, InvalidMedia, UploadTooLarge

Resolve = Callable[[str, int], Awaitable[str]]
"""From a name and a port to the one address to connect to. Raises `AddressRefused`, `AddressUnknown`."""

PUBLIC_ONLY: Resolve = partial(address_of, allow_private=False)
HTTPS_PORT = 443
MAX_URL = 2048
IN_MEMORY = 2**20
"""Of what is fetched; more waits in a file without a name."""

USER_AGENT = "Orrery-Fetch/1"
ALLOWED = '"https://..." of a public host'


@dataclass(frozen=True)
class Policy:
    """`hosts` none is all; one that begins with a dot is every host below it. Times in seconds, sizes in bytes."""

    hosts: tuple[str, ...]
    seconds: float
    redirects: int
    max_bytes: int
    resolve: Resolve = PUBLIC_ONLY
    trusted: ssl.SSLContext | None = None
    """None trusts what httpx trusts."""

    @classmethod
    def of(cls, settings: GatewaySettings) -> Policy:
        return cls(settings.url_hosts, settings.url_seconds, settings.url_redirects, settings.max_upload_bytes)


@dataclass(frozen=True)
class WebUrls:
    """`https://...`, a `ReferenceKind`."""

    policy: Policy
    allowed: tuple[str, ...] = (ALLOWED,)
    keys: tuple[str, ...] = URL_KEYS

    def fits(self, written: str) -> bool:
        return written[:8].lower().startswith(("http:", "https:"))

    @asynccontextmanager
    async def opened(self, written: str, tenant: str) -> AsyncIterator[BinaryIO]:  # noqa: ARG002  the web is everybody's
        with SpooledTemporaryFile(IN_MEMORY) as file:
            try:
                async with asyncio.timeout(self.policy.seconds):
                    await _fetch(written, self.policy, cast(BinaryIO, file))
            except TimeoutError:
                _unfetched(f"it took more than {self.policy.seconds:g} seconds")
            file.seek(0)
            yield cast(BinaryIO, file)


def url_kinds(settings: GatewaySettings) -> tuple[WebUrls, ...]:
    """One if URLs are taken, else none: what is not registered is refused like anything unknown."""
    return (WebUrls(Policy.of(settings)),) if settings.url_inputs == "on" else ()


async def _fetch(written: str, policy: Policy, file: BinaryIO) -> None:
    # Nothing is kept: a connection is known by its address alone, and the next name at an address may be another's.
    verify: ssl.SSLContext | bool = policy.trusted or True
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(verify=verify, trust_env=False, follow_redirects=False, limits=limits) as client:
        url = checked_url(written, policy)
        for _ in range(policy.redirects + 1):
            async with _answer(client, url, policy) as answer:
                if not answer.has_redirect_location:
                    await _keep(answer, policy, file)
                    return
                url = checked_url(str(url.join(answer.headers["location"])), policy)
    _unfetched(f"it is redirected more than {policy.redirects} times")


def checked_url(written: str, policy: Policy) -> httpx.URL:
    """Raises `InvalidField` for what is not the URL of a host that may be asked. Where its name leads is looked at later."""
    if len(written) > MAX_URL or not written.isascii() or not written.isprintable() or " " in written or "\\" in written:
        _refused(f"a URL is printable ASCII of up to {MAX_URL} characters")
    try:
        url = httpx.URL(written)
    except httpx.InvalidURL:
        _refused("it is no URL")
    if url.scheme != "https" or not url.host or url.userinfo:
        _refused("only https without user and password is fetched")
    if not 0 < (url.port or HTTPS_PORT) < 65536:
        _refused("its port is none")
    host = url.host.lower().rstrip(".")
    if policy.hosts and not any(host == known or (known[0] == "." and host.endswith(known)) for known in policy.hosts):
        _refused("the host is not on the list of those that are fetched from")
    return url


@asynccontextmanager
async def _answer(client: httpx.AsyncClient, url: httpx.URL, policy: Policy) -> AsyncIterator[httpx.Response]:
    """Looked up once; the very address that was checked is called, and the certificate must be the name's."""
    try:
        address = await policy.resolve(url.host, url.port or HTTPS_PORT)
    except (AddressRefused, AddressUnknown):  # one answer to both: the names of a private network are nobody's business
        _refused("the host is none of the public internet")
    headers = {"Host": url.netloc.decode(), "User-Agent": USER_AGENT, "Accept": ", ".join(SIGNATURES)}
    headers["Accept-Encoding"] = "identity"
    request = client.build_request(
        "GET", url.copy_with(host=address), headers=headers, extensions={"sni_hostname": url.host, "timeout": _timeouts(policy)}
    )
    try:
        answer = await client.send(request, stream=True)
    except (httpx.HTTPError, httpx.InvalidURL):
        _unfetched("its host does not answer as it should")
    try:
        yield answer
    finally:
        await answer.aclose()


def _timeouts(policy: Policy) -> dict[str, float]:
    return dict.fromkeys(("connect", "read", "write", "pool"), policy.seconds)


async def _keep(answer: httpx.Response, policy: Policy, file: BinaryIO) -> None:
    """The bytes as they come: nothing is unpacked, so that a small answer stays small."""
    if answer.status_code != httpx.codes.OK:
        _unfetched(f"the answer has status {answer.status_code}")
    head, size = b"", 0
    try:
        async for part in answer.aiter_raw():
            size += len(part)
            if size > policy.max_bytes:
                allowed = f"up to {policy.max_bytes} bytes"
                raise UploadTooLarge(f"{REFERENCE} has more than {policy.max_bytes} bytes", field=REFERENCE, allowed=allowed)
            if len(head) < HEAD_BYTES:
                head = _known(head + part)
            await asyncio.to_thread(file.write, part)
    except httpx.HTTPError:
        _unfetched("its host did not send all of it")


def _known(head: bytes) -> bytes:
    """The beginning, which must be that of media as soon as there is enough of it: the rest of anything else is not loaded."""
    if len(head) >= HEAD_BYTES and sniff(head) is None:
        raise InvalidMedia(f"{REFERENCE} leads to no known image or clip", field=REFERENCE, allowed=sorted(SIGNATURES))
    return head


def _refused(why: str) -> NoReturn:
    raise InvalidField(f"{REFERENCE} is not fetched: {why}", field=REFERENCE, allowed=ALLOWED)


def _unfetched(why: str) -> NoReturn:
    raise InvalidMedia(f"{REFERENCE} cannot be fetched: {why}", field=REFERENCE, allowed=ALLOWED)
