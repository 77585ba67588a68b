"""A process that has imported the decoders and forks itself for every upload. Run by `apart`, with its socket's number.

What a file makes a decoder do ends with the fork: nothing of it is left for the next upload, which may be another tenant's.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from typing import Any

from orrery.gateway.decoding.order import Order
from orrery.gateway.media import read_conditioning
from orrery.worlds.errors import InvalidMedia, OrreryError

ORDER_BYTES = 65536
OPEN_FILES = 32


def main(control: socket.socket) -> None:
    """Until the other end is closed, as it is when its process ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended children leave nothing to wait for
    while True:
        order, handles, _, _ = socket.recv_fds(control, ORDER_BYTES, 3)
        if not order:
            return
        if os.fork() == 0:
            control.close()
            _work(Order.model_validate_json(order), *handles)
            os._exit(0)
        for handle in handles:
            os.close(handle)


def _work(order: Order, source: int, result: int, answer: int) -> None:
    """Writes the frames to `result` and what became of it to `answer`. Dies where it goes beyond a bound, or fails."""
    _bound(order)
    with socket.socket(fileno=answer) as told:
        told.sendall(json.dumps(_read(order, source, result)).encode())


def _read(order: Order, source: int, result: int) -> dict[str, Any]:
    try:
        with open(source, "rb") as upload, open(result, "wb") as frames:
            read = read_conditioning(upload, order.frames, order.bounds, order.keep, order.media_type)
            frames.write(read.to_bytes())
        return {"notes": read.notes(order.size)}
    except MemoryError:
        error: OrreryError = InvalidMedia(
            "decoding the upload takes too much memory", field="input_reference", allowed=f"{order.memory_bytes} bytes"
        )
    except OrreryError as refused:
        error = refused
    return {"error": error.to_dict()}


def _bound(order: Order) -> None:
    """The kernel ends what goes beyond: no code of a decoder has to look."""
    limits = {
        resource.RLIMIT_AS: order.memory_bytes,
        resource.RLIMIT_CPU: order.cpu_seconds,
        resource.RLIMIT_FSIZE: order.result_bytes,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))
    signal.setitimer(signal.ITIMER_REAL, order.seconds)  # nobody handles its signal, which ends the process


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
