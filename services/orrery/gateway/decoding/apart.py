"""Has uploads decoded in processes of their own."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from orrery.gateway.decoding.order import Order
from orrery.gateway.stills import FIELD
from orrery.worlds.errors import InvalidMedia, OrreryError, from_dict

GRACE_SECONDS = 5.0
"""Beyond its own time a decoder is waited for so long: the machine may be slow to start it."""

ENDING_SECONDS = 0.1
"""A process closes its sockets a little before it has ended."""

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""What a decoder sees of it, beside where its code is: no passwords. Threads would take of its little address space."""


class DecoderUnavailable(OrreryError):
    """There is no process to decode uploads; the next one is tried with a new one."""

    code = "decoder_unavailable"
    http_status = 503
    grpc_code = "UNAVAILABLE"


def read_apart(upload: BinaryIO, order: Order) -> tuple[bytes, dict[str, Any]]:
    """The frames as `Conditioning.to_bytes` has them, and the notes about them. Blocks.

    Raises what `read_conditioning` raises, `InvalidMedia` of an upload whose decoder was ended, and `DecoderUnavailable`.
    """
    with _memory("upload") as source, _memory("frames") as result:
        upload.seek(0)
        shutil.copyfileobj(upload, source)
        source.seek(0)
        told = _told(source, result, order)
        if "error" in told:
            raise from_dict(told["error"])
        result.seek(0)
        return result.read(), told["notes"]


@contextmanager
def _memory(name: str) -> Iterator[BinaryIO]:
    """A file that has no name and no place on a disk, so that nothing of it can be left behind."""
    with open(os.memfd_create(name), "w+b") as file:
        yield file


def _told(source: BinaryIO, result: BinaryIO, order: Order) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            ZYGOTE.send(order, [source.fileno(), result.fileno(), theirs.fileno()])
        ours.settimeout(order.seconds + GRACE_SECONDS)
        try:
            answer = b"".join(iter(lambda: ours.recv(65536), b""))
        except TimeoutError:
            answer = b""
    if not answer:
        ZYGOTE.check()
        bounds = f"{order.memory_bytes} bytes, {order.cpu_seconds} seconds of processor time and {order.seconds:g} in all"
        raise InvalidMedia("the upload cannot be decoded within bounds", field=FIELD, allowed=bounds)
    told: dict[str, Any] = json.loads(answer)
    return told


def _unavailable() -> DecoderUnavailable:
    return DecoderUnavailable("uploads cannot be decoded for now: the gateway's log says why")


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


class _Zygote:
    """One for the process, started when it is first needed, and again if it ended. Threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def send(self, order: Order, handles: list[int]) -> None:
        """Raises `DecoderUnavailable` if a new process ends as well."""
        message = order.model_dump_json().encode()
        with self._lock:
            for _ in range(2):
                try:
                    socket.send_fds(self._started(), [message], handles)
                    return
                except (BrokenPipeError, ConnectionResetError):
                    self._stop()
        raise _unavailable()

    def _started(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            command = [sys.executable, "-m", "orrery.gateway.decoding.zygote", str(theirs.fileno())]
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    env=ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},
                    pass_fds=[theirs.fileno()],
                    cwd="/",
                    start_new_session=True,
                )
        return self._control

    def check(self) -> None:
        """Raises `DecoderUnavailable` if it has ended: then an upload without an answer is not to blame."""
        with self._lock:
            if self._process is not None and _has_ended(self._process):
                raise _unavailable()

    def stop(self) -> None:
        """Ends it; the next upload starts another."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait()
        self._control = self._process = None


ZYGOTE = _Zygote()
atexit.register(ZYGOTE.stop)
