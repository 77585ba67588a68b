"""What a client may say of a batch."""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers

from orrery.gateway.batching.endpoints import ENDPOINTS
from orrery.gateway.context import Gateway
from orrery.gateway.edge.callers import caller
from orrery.gateway.fields import refuse_unknown
from orrery.gateway.shelf import BATCH, checked_file_id, read_expiry
from orrery.gateway.terms import key_of, tenant_of
from orrery.jobs.batches.records import Order
from orrery.jobs.files import StoredFile
from orrery.worlds.errors import BatchNotFound, FileNotKnown, InvalidField

FIELDS = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
BATCH_ID_PREFIX = "batch_"
MAX_HOURS = 30 * 24
MAX_PAIRS, MAX_NAME, MAX_VALUE = 16, 64, 512

_WINDOW = re.compile(r"([1-9][0-9]{0,2})([hd])")
_BATCH_ID = re.compile(BATCH_ID_PREFIX + "[0-9a-f]{32}")
_HOURS = {"h": 1, "d": 24}


def checked_batch_id(batch_id: str) -> str:
    """Raises `BatchNotFound` for what no batch is called, before it becomes part of a key."""
    if not _BATCH_ID.fullmatch(batch_id):
        raise BatchNotFound(f"there is no batch {batch_id[:80]!r}")
    return batch_id


async def read_order(gateway: Gateway, headers: Headers, values: Mapping[str, Any], *, base_url: str) -> Order:
    """Raises `UnknownField`, `InvalidField`."""
    refuse_unknown(values, FIELDS)
    tenant, now = tenant_of(headers), time.time()
    file = await _input_file(gateway, values.get("input_file_id"), tenant)
    window, key = values.get("completion_window"), caller()
    return Order(
        id=BATCH_ID_PREFIX + _number(tenant, key_of(headers), values),
        tenant=tenant,
        endpoint=_endpoint(values.get("endpoint")),
        input_file_id=file.id,
        input=file.content,
        completion_window=str(window),
        created_at=now,
        expires_at=now + _seconds(window),
        metadata=_metadata(values.get("metadata")),
        output_seconds=read_expiry(values.get("output_expires_after"), field="output_expires_after", form=False),
        key_id=None if key is None else key.id,
        base_url=base_url,
    )


def _number(tenant: str, key: str | None, values: Mapping[str, Any]) -> str:
    """Under an idempotency key the same body is the same batch."""
    if key is None:
        return uuid.uuid4().hex
    name = json.dumps([tenant, key, values], sort_keys=True)
    return hashlib.sha256(name.encode()).hexdigest()[:32]


async def _input_file(gateway: Gateway, file_id: Any, tenant: str) -> StoredFile:
    try:
        file = await gateway.files.get(checked_file_id(file_id if isinstance(file_id, str) else ""), tenant)
    except FileNotKnown as error:
        raise InvalidField(error.message, field="input_file_id", allowed="the id of a file that is there") from None
    if file.purpose != BATCH:
        message = f"file {file.id} is for {file.purpose}"
        raise InvalidField(message, field="input_file_id", allowed=f"a file whose purpose is {BATCH!r}")
    return file


def _endpoint(value: Any) -> str:
    if not isinstance(value, str) or value not in ENDPOINTS:
        raise InvalidField("endpoint is not offered in batches", field="endpoint", allowed=sorted(ENDPOINTS))
    return value


def _seconds(window: Any) -> float:
    found = _WINDOW.fullmatch(window) if isinstance(window, str) else None
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not 1 <= hours <= MAX_HOURS:
        allowed = f'hours or days, "1h" to "{MAX_HOURS // 24}d"'
        raise InvalidField("completion_window is out of range", field="completion_window", allowed=allowed)
    return hours * 3600.0


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > MAX_PAIRS or not all(_is_pair(*pair) for pair in value.items()):
        allowed = f"up to {MAX_PAIRS} pairs of texts, names of up to {MAX_NAME} and values of up to {MAX_VALUE} characters"
        raise InvalidField("metadata is no such object", field="metadata", allowed=allowed)
    return value


def _is_pair(name: str, value: Any) -> bool:
    if not isinstance(value, str) or len(name) > MAX_NAME or len(value) > MAX_VALUE:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in name + value)
