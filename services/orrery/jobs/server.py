"""Which servers a store may stand on, and how to reach them."""

from __future__ import annotations

from typing import Any, Self, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, Sentinel, SentinelConnectionPool

from orrery.jobs.outage import outages_named

CONNECTIONS = 64
"""Of one client; commands beyond wait for one for so many seconds. Those that wait for news hold theirs meanwhile."""

CONNECTION_SECONDS = 20

CONNECTIONS_TO_MASTER = 1000
"""Of one client found by Sentinels, whose commands cannot wait for one."""

OPTIONS: dict[str, Any] = {"decode_responses": True, "health_check_interval": 30}

OLDEST = {"redis": (7, 0), "valkey": (7, 2)}


class UnsupportedServer(RuntimeError):
    """The server is older than the scripts need."""


async def check_version(client: Redis) -> None:
    """Raises `UnsupportedServer`."""
    with outages_named():
        info: dict[str, Any] = await client.info("server")
    kind = "valkey" if "valkey_version" in info else "redis"
    version = str(info[f"{kind}_version"])
    if tuple(map(int, version.split(".")[:2])) < OLDEST[kind]:
        oldest = ".".join(map(str, OLDEST[kind]))
        raise UnsupportedServer(f"the job store is {kind} {version}; it must be {kind} {oldest} or later")


def client_of(url: str) -> Redis:
    """A client of `redis://`, `rediss://` and `unix://` URLs as redis-py has them, or of a Sentinel's master.

    `sentinel://[user:password@]host:port,host:port/service[/db]` takes the same options as the others in its query; user and
    password are the master's. Options that begin with `sentinel_` are for the Sentinels: `?sentinel_password=...`.
    """
    if urlsplit(url).scheme == "sentinel":
        return _master(url)
    options = {"max_connections": CONNECTIONS, "timeout": CONNECTION_SECONDS} | OPTIONS
    return Redis.from_pool(BlockingConnectionPool.from_url(url, **options))


async def close(client: Redis) -> None:
    """Closes the client, and those that it asks for its master."""
    await client.aclose()
    if isinstance(client.connection_pool, SentinelConnectionPool):
        for sentinel in client.connection_pool.sentinel_manager.sentinels:
            await sentinel.aclose()


class BesideJobs:
    """What is kept beside the jobs, on their server. `client` must decode responses."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    @classmethod
    def connect(cls, url: str) -> Self:
        """With a client of its own; nothing is sent before the first call."""
        return cls(client_of(url))

    async def aclose(self) -> None:
        """Closes the client."""
        await close(self._client)


def _master(url: str) -> Redis:
    parts = urlsplit(url)
    credentials, _, places = parts.netloc.rpartition("@")
    service, _, db = parts.path.strip("/").partition("/")
    # The options are read by redis-py itself, so that they mean the same as in its own URLs.
    query = dict(parse_qsl(parts.query))
    watchers = {name.removeprefix("sentinel_"): value for name, value in query.items() if name.startswith("sentinel_")}
    others = "&".join(f"{name}={value}" for name, value in query.items() if not name.startswith("sentinel_"))
    options = Redis.from_url(f"redis://{credentials}@host/{db or 0}?{others}").connection_pool.connection_kwargs
    for name in ("host", "port"):
        options.pop(name, None)
    sentinel = Sentinel([_place(place) for place in places.split(",")], sentinel_kwargs=watchers)  # type: ignore[no-untyped-call]
    options |= {"max_connections": CONNECTIONS_TO_MASTER} | OPTIONS
    return cast(Redis, sentinel.master_for(unquote(service), **options))


def _place(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return (host.strip("[]"), int(port)) if host else (place, 26379)
