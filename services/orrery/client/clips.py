"""Clips for judging, made as any client of the HTTP API has them made."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from orrery.evaluation.films import frames_of
from orrery.evaluation.regions import Frames
from orrery.sdk import Client
from orrery.worlds.errors import StageFailed


class HttpClips:
    """Creates the video, waits, downloads and decodes the MP4. Threads may share it."""

    def __init__(self, client: Client, model: str) -> None:
        self._client = client
        self._model = model
        self._waiting: set[str] = set()

    def __call__(self, prompt: str, first_frame: Frames | None, *, seed: int, steps: int | None, sampler: str | None) -> Frames:
        """Raises `JobFailed`, `JobCancelled`, and `StageFailed` for a result that is no film."""
        asked: dict[str, Any] = {"model": self._model, "seed": seed, "num_inference_steps": steps, "sampler": sampler}
        fields = {name: value for name, value in asked.items() if value is not None}
        reference = None if first_frame is None else _png(first_frame)
        job = self._client.create(prompt, reference=reference, **fields)
        self._waiting.add(job.id)
        self._client.wait(job.id)
        self._waiting.discard(job.id)
        try:
            return frames_of(self._downloaded(job.id))
        except ValueError as error:
            raise StageFailed(f"job {job.id}: {error}") from error

    def cancel(self) -> None:
        """Ends the jobs that are still waited for: those of an evaluation that was broken off."""
        for job_id in list(self._waiting):
            self._client.cancel(job_id)

    def _downloaded(self, job_id: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="orrery-eval-") as folder:
            path = Path(folder) / "clip.mp4"
            self._client.download(job_id, path)
            return path.read_bytes()


def _png(frame: Frames) -> bytes:
    buffer = BytesIO()
    Image.fromarray(frame[0]).save(buffer, format="PNG")
    return buffer.getvalue()
