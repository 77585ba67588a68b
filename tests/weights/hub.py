"""A server that speaks as much of the hub's protocol as fetching needs, and can be told to fail."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

LARGE = 2000
"""Files of as many bytes are kept by LFS: on another host, and known by their SHA-256."""


@dataclass
class Repository:
    """`cuts` gives, for a file, after how many bytes the connection ends, once for each entry."""

    files: dict[str, bytes]
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    status: int = 200
    error_code: str | None = None
    cuts: dict[str, list[int]] = field(default_factory=dict)
    lies: set[str] = field(default_factory=set)
    revision: str = "main"


@dataclass
class Request:
    method: str
    path: str
    host: str
    headers: dict[str, str]


class FakeHub:
    """Two hosts: the hub's own, and that where large files lie. Each request is remembered."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.fails_with: int | None = None
        self.failing_after_cut = False
        self.sizes: dict[str, int] = {}
        self.url = ""
        self.store_url = ""

    def gets(self, name: str) -> list[Request]:
        """The requests for the bytes of a file."""
        return [one for one in self.requests if one.method == "GET" and one.path.endswith(f"/{name}")]

    def info(self, repository: Repository, name: str) -> bytes:
        siblings = [_sibling(path, data) | self._size(path, data) for path, data in repository.files.items()]
        return json.dumps({"id": name, "modelId": name, "sha": repository.commit, "siblings": siblings}).encode()

    def _size(self, path: str, data: bytes) -> dict[str, int]:
        return {"size": self.sizes.get(path, len(data))}


def _sibling(path: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest()
    told = {"rfilename": path, "size": len(data), "blobId": blob}
    if len(data) < LARGE:
        return told
    return told | {"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def do_GET(self) -> None:
        host = self.headers["Host"]
        self.hub.requests.append(
            Request(self.command, self.path, host, {name.lower(): value for name, value in self.headers.items()})
        )
        _, owner, name, rest = re.match(r"(/api/models|/store)?/([^/]+)/([^/?]+)(.*)", self.path).groups()  # type: ignore[union-attr]
        repository = self.hub.repositories.get(f"{owner}/{name}")
        if self.hub.fails_with is not None:
            self._answer(self.hub.fails_with)
        elif repository is None:
            self._answer(404, {"X-Error-Code": "RepoNotFound"})
        elif repository.status != 200:
            self._answer(repository.status, {"X-Error-Code": repository.error_code} if repository.error_code else {})
        else:
            self._serve(repository, f"{owner}/{name}", rest)

    def _serve(self, repository: Repository, name: str, rest: str) -> None:
        if revision := re.match(r"/revision/([^?]+)", rest):
            known = unquote(revision[1]) in (repository.revision, repository.commit)
            self._answer(200, {}, self.hub.info(repository, name)) if known else self._answer(
                404, {"X-Error-Code": "RevisionNotFound"}
            )
            return
        path = rest.removeprefix(f"/resolve/{repository.commit}").removeprefix("/")
        data = repository.files[path]
        if len(data) >= LARGE and not self.path.startswith("/store"):
            self._answer(302, {"Location": f"{self.hub.store_url}/store/{name}/{path}", "X-Repo-Commit": repository.commit})
        else:
            self._bytes(repository, path, data)

    def _bytes(self, repository: Repository, path: str, data: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = (bytes(len(data)) if path in repository.lies else data)[start:]
        cuts = repository.cuts.get(path, [])
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": repository.commit}
        ranged = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self._answer(206 if start else 200, headers | ranged, body, cut=cuts.pop(0) if cuts else None)

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
            self.hub.fails_with = 503 if self.hub.failing_after_cut else None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: requests are remembered."""


@contextmanager
def hub_of(**repositories: Repository) -> Iterator[FakeHub]:
    hub = FakeHub()
    handler = type("OfHub", (Handler,), {"hub": hub})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(2)]
    hub.url, hub.store_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
