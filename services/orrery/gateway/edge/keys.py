"""API keys: made once, known afterwards only by their hash, read again when their file changes."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from orrery.gateway.edge.errors import Forbidden, Unauthenticated
from orrery.gateway.terms import TENANT_NAME
from orrery.worlds.plan import Frozen

log = logging.getLogger(__name__)

PREFIX = "orrery"
LOOK_SECONDS = 1.0
"""How often the file is looked at: a key that is taken out of it is refused after so long."""

_SECRET = re.compile(PREFIX + r"_(?P<id>[0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


class Quota(Frozen, extra="forbid"):
    """What a key may use: `jobs` and `device_seconds` in each window of `window_seconds`, `concurrent` jobs not yet ended."""

    window_seconds: int = Field(default=3600, gt=0)
    jobs: int | None = Field(default=None, ge=0)
    concurrent: int | None = Field(default=None, ge=0)
    device_seconds: float | None = Field(default=None, ge=0)


class Key(Frozen, extra="forbid"):
    """An entry of the file. `models` None is every served one; `admin` sees all tenants and may do an operator's work.

    `sha256` is of the whole secret. It holds 256 random bits, which nobody finds by trying, so that a slow hash, which is there
    for what people think up, would only slow every request down.
    """

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tenant: str = Field(pattern=f"^{TENANT_NAME}$")
    admin: bool = False
    models: tuple[str, ...] | None = Field(default=None, min_length=1)
    quota: Quota = Quota()
    rate_per_second: float | None = Field(default=None, gt=0)


class KeyFile(Frozen, extra="forbid"):
    keys: tuple[Key, ...]


def new_key(**fields: Any) -> tuple[str, Key]:
    """A secret, which is not kept anywhere, and its entry."""
    key_id = secrets.token_hex(6)
    secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    return secret, Key(id=key_id, sha256=_digest(secret), **fields)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_PARSERS: Mapping[str, Callable[[str], Any]] = {".json": json.loads, ".toml": tomllib.loads}


def read_keys(path: Path) -> dict[str, Key]:
    """The entries of a JSON or TOML file by id. Raises `ValueError` saying what is wrong, `OSError` if it cannot be read."""
    if path.suffix not in _PARSERS:
        raise ValueError(f"{path} is neither .json nor .toml")
    entries = KeyFile.model_validate_json(json.dumps(_PARSERS[path.suffix](path.read_text()))).keys
    found = {key.id: key for key in entries}
    if len(found) < len(entries):
        raise ValueError(f"{path} has two keys of one id")
    return found


@dataclass(frozen=True)
class _Loaded:
    stamp: tuple[int, int]
    keys: dict[str, Key]


class KeyRing:
    """The keys of a file. Raises as `read_keys` at first; later a file that cannot be read leaves the keys as they were."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._loaded = _Loaded(self._stamp(), read_keys(path))

    def find(self, secret: str | None) -> Key:
        """The key's entry. Raises `Unauthenticated`, which does not tell what was wrong."""
        self._look()
        form = _SECRET.fullmatch(secret or "")
        known = self._loaded.keys.get(form["id"]) if form else None
        # Always compared, and in constant time: how long a refusal takes tells nothing about the keys.
        fits = hmac.compare_digest(_digest(secret or ""), known.sha256 if known else _NOBODY)
        if known is None or not fits:
            raise Unauthenticated("a valid API key is needed", allowed="Authorization: Bearer <key>, or x-api-key: <key>")
        return known

    def of_id(self, key_id: str) -> Key:
        """The key that something was begun under. Raises `Forbidden` if it was taken out of the file since."""
        self._look()
        if key_id not in self._loaded.keys:
            raise Forbidden("the key that this was begun under is no longer there")
        return self._loaded.keys[key_id]

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            stamp = self._stamp()
            if stamp != self._loaded.stamp:
                self._loaded = _Loaded(stamp, read_keys(self._path))
                log.info("%d API keys read anew", len(self._loaded.keys))
        except (OSError, ValueError) as error:
            log.error("API keys stay as they were: %s", _why(error))

    def _stamp(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size


def _why(error: Exception) -> str:
    """Without the values, which may be keys that somebody wrote down by mistake."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return str(error)
