"""The passes of a network that a film is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orrery.worlds.catalog.models import DenoiserSpec
from orrery.worlds.requests import WorldRequest

_SUFFIX = re.compile(r"_[0-9]+$")


@dataclass(frozen=True)
class Pass:
    """`num_frames` are made from `seed`, and the first `kept` of them stay. `index` counts from 0."""

    index: int
    seed: int
    num_frames: int
    kept: int

    @property
    def suffix(self) -> str:
        """What the names of its tasks end in: nothing for the first, which are named as those of a film of one pass."""
        return "" if self.index == 0 else f"_{self.index + 1}"


def role_of(task_id: str) -> str:
    """The name that the task has in a film of one pass."""
    return _SUFFIX.sub("", task_id)


def passes(request: WorldRequest, spec: DenoiserSpec) -> tuple[Pass, ...]:
    """One, or as many as the request has chunks.

    As the official scripts: `video2world_lvg.py` of cosmos-predict2 makes every chunk from the same seed and keeps all
    of it; `generate_autoregressive_from_batch` of cosmos-predict2.5 adds 1 to the seed each time, makes as many frames as the
    network can, keeps the first `chunk_size`, and of the last chunk what the film still needs.
    """
    step = 0 if spec.chunks is None else spec.chunks.seed_step
    if request.chunk_size is None:
        frames = request.num_frames
        return tuple(Pass(k, request.seed + k * step, frames, frames) for k in range(request.num_chunks))
    stride, made = request.chunk_size - request.chunk_overlap, spec.num_frames.maximum
    return tuple(
        Pass(k, request.seed + k * step, made, min(request.chunk_size, request.num_frames - k * stride))
        for k in range(request.num_chunks)
    )
