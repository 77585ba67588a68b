"""A language model behind OpenAI's chat completions: a real HTTP server that says what it is told, and one without a server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orrery.stages.stage import Call
from orrery.worlds.errors import UpsamplingFailed


@dataclass(frozen=True)
class Reply:
    """`pause` is before the first byte, `drip` between bytes; of a `cut` body the second half never comes."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    drip: float | None = None
    cut: bool = False


def saying(text: Any, **more: Any) -> Reply:
    """A whole answer with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode(), **more)


@dataclass
class LanguageModel:
    """`asked` are the bodies that came, `heads` their headers, `paths` where to."""

    port: int = 0
    answer: Callable[[dict[str, Any]], Reply] = field(default=lambda _: saying("A long and careful description."))
    asked: list[dict[str, Any]] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def listening() -> Iterator[LanguageModel]:
    model = LanguageModel()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
    server.daemon_threads = True
    model.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(model: LanguageModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            model.asked.append(body)
            model.heads.append(dict(self.headers.items()))
            model.paths.append(self.path)
            with suppress(ConnectionError):
                self._send(model.answer(body))

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.pause)
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | dict(reply.headers)).items():
                self.send_header(name, value)
            self.end_headers()
            body = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
            step = len(body) if reply.drip is None else 1
            for start in range(0, len(body), max(step, 1)):
                self.wfile.write(body[start : start + step])
                time.sleep(reply.drip or 0.0)
            self.close_connection = True

        def log_message(self, *told: Any) -> None:
            """Nothing: what is asked is nobody's business."""

    return Handler


@dataclass
class MemoryChat:
    """`Chat` without a server: what it is asked is answered by `answer`, a failure if that is one."""

    answer: Callable[[Mapping[str, Any]], str | UpsamplingFailed]
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def ask(self, question: Mapping[str, Any], call: Call) -> str:
        self.asked.append(question)
        call.check_cancelled()
        found = self.answer(question)
        if isinstance(found, UpsamplingFailed):
            raise found
        return found
