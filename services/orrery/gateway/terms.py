"""On which terms a job is taken: for whom, how urgent, under which name, for how long, and who is told of its end."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from orrery.gateway.fields import read_value
from orrery.gateway.parameters import MAX_RETENTION, MAX_URL, MIN_RETENTION, PRIORITIES
from orrery.gateway.settings import GatewaySettings
from orrery.jobs.records import Idempotency, Priority
from orrery.worlds.errors import InvalidField
from orrery.worlds.plan import canonical

TENANT = "X-Orrery-Tenant"
KEY = "Idempotency-Key"
FIELDS = ("priority", "expires_after", "webhook_url")
"""Fields of a body that are not about the world."""

TENANT_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

_TENANT = re.compile(TENANT_NAME)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_HASH_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Terms:
    """`key` is the client's own name for the request; `retention` counts from the job's end, in seconds.

    `job_id` names the job beforehand: however often it is submitted, it is one job. `notes` are kept with it.
    """

    tenant: str
    priority: Priority
    retention: float
    webhook_url: str | None = None
    key: str | None = None
    job_id: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def idempotency(self, body_digest: str) -> Idempotency | None:
        return None if self.key is None else Idempotency(key=self.key, body_digest=body_digest)


def read_terms(headers: Headers, values: dict[str, Any], settings: GatewaySettings, *, form: bool) -> Terms:
    """Takes the fields out of `values`. Raises `InvalidField` naming the field or header."""
    given = {name: read_value(name, values.pop(name, None), form=form) for name in FIELDS}
    return Terms(
        tenant=tenant_of(headers),
        priority=_priority(given["priority"]),
        retention=_retention(given["expires_after"], settings),
        webhook_url=_webhook_url(given["webhook_url"], settings),
        key=key_of(headers),
    )


def tenant_of(headers: Headers) -> str:
    """For whom a request is. Raises `InvalidField`."""
    return _tenant(headers.get(TENANT, "default"))


def key_of(headers: Headers) -> str | None:
    """The client's own name for a request. Raises `InvalidField`."""
    value = headers.get(KEY)
    if value is not None and not _KEY.fullmatch(value):
        raise InvalidField(f"{KEY} is no key", field=KEY, allowed="1 to 255 printable ASCII characters")
    return value


def batch_terms(
    values: Mapping[str, Any],
    settings: GatewaySettings,
    *,
    tenant: str,
    job_id: str,
    at_least: float,
    notes: Mapping[str, Any],
) -> Terms:
    """Of one line of a batch, whose job is kept for `at_least` so many seconds. Raises `InvalidField`."""
    if values.get("priority") not in (None, Priority.BATCH):
        raise InvalidField("priority is not offered in a batch", field="priority", allowed=[Priority.BATCH.value])
    return Terms(
        tenant=tenant,
        priority=Priority.BATCH,
        retention=max(_retention(values.get("expires_after"), settings), at_least),
        webhook_url=_webhook_url(values.get("webhook_url"), settings),
        job_id=job_id,
        notes=notes,
    )


def body_digest(values: dict[str, Any], reference: BinaryIO | None) -> str:
    """Of the parsed body and its upload: the same however the body was spaced, ordered or cut into parts. Blocks."""
    given = {name: value for name, value in values.items() if value is not None}
    sha256 = hashlib.sha256(json.dumps(canonical(given)).encode())
    if reference is not None:
        sha256.update(b"\0" + _upload_digest(reference))
    return sha256.hexdigest()


def _upload_digest(reference: BinaryIO) -> bytes:
    sha256 = hashlib.sha256()
    reference.seek(0)
    while part := reference.read(_HASH_BYTES):
        sha256.update(part)
    reference.seek(0)
    return sha256.digest()


def _tenant(value: str) -> str:
    if not _TENANT.fullmatch(value):
        allowed = "1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit"
        raise InvalidField(f"{TENANT} is no tenant's name", field=TENANT, allowed=allowed)
    return value


def _priority(value: Any) -> Priority:
    if value is None:
        return Priority.STANDARD
    if not isinstance(value, str) or value not in PRIORITIES:
        raise InvalidField("priority is not offered", field="priority", allowed=PRIORITIES)
    return Priority(value)


def _retention(value: Any, settings: GatewaySettings) -> float:
    if value is None:
        return settings.retention_seconds
    if type(value) is not int or not MIN_RETENTION <= value <= MAX_RETENTION:
        allowed = f"{MIN_RETENTION} to {MAX_RETENTION} seconds"
        raise InvalidField("expires_after is out of range", field="expires_after", allowed=allowed)
    return float(value)


def _webhook_url(value: Any, settings: GatewaySettings) -> str | None:
    """Only its form is checked here: where the name leads is looked up by the dispatcher, every time it is called."""
    if value is None:
        return None
    if not settings.webhooks:
        raise InvalidField("webhooks are not set up here", field="webhook_url", allowed="no webhook_url")
    if not isinstance(value, str) or len(value) > MAX_URL or not _is_web_address(value):
        allowed = f"an http or https URL without user or fragment, up to {MAX_URL} characters"
        raise InvalidField("webhook_url is no address to call", field="webhook_url", allowed=allowed)
    return value


def _is_web_address(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and not parts.fragment and port != 0
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)
