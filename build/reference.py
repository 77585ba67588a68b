"""Writes the tables of docs/api.md from the code that they describe: `python build/reference.py docs/api.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from obstore.store import MemoryStore

from orrery.artifacts import ObjectArtifacts
from orrery.client.exits import MEANINGS
from orrery.gateway.app import create_app
from orrery.gateway.settings import GatewaySettings
from orrery.gateway.stores import Stores
from orrery.jobs.batches.memory import MemoryBatches
from orrery.jobs.deliveries import MemoryDeliveries
from orrery.jobs.files import MemoryFiles
from orrery.jobs.memory import MemoryJobs
from orrery.sdk.errors import error_of  # noqa: F401  the SDK's own errors are of the table too
from orrery.v1 import worlds_pb2
from orrery.worlds.errors import OrreryError, leaves

METHODS = ("get", "head", "post", "put", "patch", "delete")
MARKED = re.compile(r"(<!-- (\w+): .*?-->\n).*?(<!-- /\2 -->)", re.DOTALL)


def _table(head: str, rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def http() -> str:
    settings = GatewaySettings(redis_url="redis://none", artifacts_url="memory://")
    artifacts = ObjectArtifacts(MemoryStore())
    stores = Stores(MemoryJobs(), artifacts, MemoryDeliveries(), MemoryFiles(), MemoryBatches())
    paths = create_app(settings, stores).openapi()["paths"]
    operations = [(path, method, paths[path][method]) for path in paths for method in METHODS if method in paths[path]]
    rows = ((f"`{method.upper()} {path}`", _purpose(told), _statuses(told)) for path, method, told in operations)
    return _table("| Call | What it does | Good answers |", rows)


def _purpose(operation: dict[str, str]) -> str:
    """The first paragraph of what the handler says of itself."""
    return (operation.get("description") or operation.get("summary", "")).split("\n\n")[0]


def _statuses(operation: dict[str, object]) -> str:
    responses = operation["responses"]
    assert isinstance(responses, dict)
    return ", ".join(status for status in sorted(responses) if status[0] in "23")


def grpc() -> str:
    service = worlds_pb2.DESCRIPTOR.services_by_name["Worlds"]
    rows = (
        (
            f"`{method.name}`",
            f"`{method.input_type.name}`",
            "stream of " * method.server_streaming + f"`{method.output_type.name}`",
        )
        for method in service.methods
    )
    return _table("| Method | Takes | Gives |", rows)


def errors() -> str:
    """Those that only clients raise come last."""
    known = sorted(leaves().values(), key=lambda error: (_is_clients(error), error.http_status, error.code))
    rows = ((f"`{error.code}`", *_statuses_of(error), _said(error)) for error in known)
    return _table("| Code | HTTP | gRPC | Meaning |", rows)


def _is_clients(error: type[OrreryError]) -> bool:
    return error.__module__.startswith("orrery.sdk.")


def _statuses_of(error: type[OrreryError]) -> tuple[object, object]:
    return ("in the SDK", "") if _is_clients(error) else (error.http_status, f"`{error.grpc_code}`")


def _said(error: type[Exception]) -> str:
    return "" if error.__doc__ is None else error.__doc__.split("\n\n")[0]


def exits() -> str:
    return _table("| Status | Meaning |", ((int(status), meaning) for status, meaning in MEANINGS.items()))


TABLES: dict[str, Callable[[], str]] = {"http": http, "grpc": grpc, "errors": errors, "exits": exits}


def written(text: str) -> str:
    """The text with every marked table as it should be."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(written(page.read_text()))
