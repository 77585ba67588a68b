"""The packages of the locks, fetched once with this machine's own pip and handed to the builds over loopback.

A build has neither this machine's certificates nor its folders of packages. The digests of the locks hold all the same.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from compose.engine import CACHE, ROOT

LOCKS = ("build", "gateway", "dispatcher", "stage")
FOLDER = CACHE / "wheels"


def fetch() -> None:
    """Every package of every lock of an image that is built here, unless it was fetched before."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(_fetch, LOCKS))


def _fetch(name: str) -> None:
    lock = ROOT / "services" / "locks" / f"{name}.txt"
    done = FOLDER / hashlib.sha256(lock.read_bytes()).hexdigest()
    if not done.exists():
        options = ("--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", FOLDER)
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "--requirement", lock], check=True)
        done.touch()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads which package was asked for."""


@contextmanager
def served() -> Iterator[Path]:
    """A pip.conf that names this wheelhouse and nothing else."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(FOLDER)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = CACHE / "pip.conf"
    config.write_text(f"[global]\nno-index = true\nfind-links = http://127.0.0.1:{server.server_port}/\n")
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
