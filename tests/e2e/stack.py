"""A whole Orrery as its users start it: `orrery up` in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from orrery.embedded.settings import free_ports
from orrery.worker.settings import StageEnvironment
from orrery.worlds.contracts import POOLED
from orrery.worlds.control import PREFIX, SHARED_MEMORY

TINY = "tiny-predict2"
ENDED = ("completed", "failed", "cancelled")
GATEWAYS_STAGES = tuple(name for name in StageEnvironment.model_fields["stages"].default if name in POOLED)
"""Of those that a stage process hosts by default, the ones that do the gateway's jobs."""


@dataclass
class Stack:
    process: subprocess.Popen[bytes]
    home: Path
    client: httpx.Client = field(repr=False)

    def create(self, **fields: Any) -> dict[str, Any]:
        """A job from JSON, or from a form if a file is among the fields."""
        file = fields.pop("input_reference", None)
        if file is None:
            answer = self.client.post("/v1/videos", json=fields)
        else:
            form = {name: str(value) for name, value in fields.items()}
            answer = self.client.post("/v1/videos", data=form, files={"input_reference": file})
        assert answer.status_code == 202, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def job(self, job_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.client.get(f"/v1/videos/{job_id}").raise_for_status().json()
        return body

    def wait(self, job_id: str, *, seconds: float = 120.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (job := self.job(job_id))["status"] not in ENDED:
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def make(self, **fields: Any) -> dict[str, Any]:
        job = self.wait(self.create(**fields)["id"])
        assert job["status"] == "completed", job["error"]
        return job

    def content(self, job_id: str, variant: str = "video") -> bytes:
        answer = self.client.get(f"/v1/videos/{job_id}/content", params={"variant": variant})
        return answer.raise_for_status().content

    def tensor(self, job: dict[str, Any], task: str, output: str) -> npt.NDArray[Any]:
        """What a task of the job made, read from the artifact folder."""
        digest = task_of(job, task)["outputs"][output]["digest"]
        (array,) = load((self.home / "artifacts" / "sha256" / digest[:2] / digest).read_bytes()).values()
        return np.asarray(array)

    def files(self) -> list[str]:
        root = self.home / "artifacts"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def stop(self) -> None:
        """As Ctrl-C does."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def kill(self) -> None:
        """Every process at once, for those who want nothing more of it. Unloading Triton's models takes seconds."""
        self.client.close()
        whole = [self.process.pid, *descendants(self.process.pid)]
        for pid in whole:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(60)
        for pid in whole:
            for path in SHARED_MEMORY.glob(f"{PREFIX}{pid}-*"):
                path.unlink(missing_ok=True)


def task_of(job: dict[str, Any], task: str) -> dict[str, Any]:
    return next(row for row in job["timeline"] if row["id"] == task)


def start(
    home: Path,
    models_dir: Path,
    *arguments: str,
    models: tuple[str, ...] = (TINY,),
    ensemble: bool = False,
    **environment: str,
) -> Stack:
    """`orrery up` with the components in `models_dir`, for `models`, of which the first is the default.

    The stages that only Triton's ensemble needs are there if `ensemble` is: each costs seconds of importing torch.
    """
    (port,) = free_ports(1)
    hosted = {} if ensemble else {"ORRERY_STAGES": ",".join(GATEWAYS_STAGES)}
    command = [sys.executable, "-m", "orrery.client.cli", "up", "--home", str(home)]
    command += ["--models-dir", str(models_dir), *(word for model in models for word in ("--model", model))]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.log").open("ab") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), *arguments], stdout=output, stderr=output, env=os.environ | hosted | environment
        )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
    stack = Stack(process, home, client)
    try:
        _until_ready(stack)
    except BaseException:
        stack.stop()
        raise
    return stack


@contextmanager
def running(home: Path, models_dir: Path, *arguments: str, **told: Any) -> Iterator[Stack]:
    """As `start`, and gone without ceremony afterwards: how it ends when asked is tested where `stop` is called."""
    stack = start(home, models_dir, *arguments, **told)
    try:
        yield stack
    finally:
        stack.kill()


def _until_ready(stack: Stack, seconds: float = 150.0) -> None:
    deadline = time.monotonic() + seconds
    answer = ""
    while time.monotonic() < deadline:
        assert stack.process.poll() is None, (stack.home / "up.log").read_text()
        try:
            ready = stack.client.get("/health/ready")
            if ready.status_code == 200:
                return
            answer = json.dumps(ready.json())
        except httpx.TransportError as error:
            answer = str(error)
        time.sleep(0.1)
    raise TimeoutError(f"not ready: {answer}; {os.listdir(stack.home / 'logs')}")


def descendants(pid: int) -> set[int]:
    """Every process below `pid`."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found: set[int] = set()
    layer = {pid}
    while layer:
        layer = {child for child, parent in parents.items() if parent in layer}
        found |= layer
    return found
