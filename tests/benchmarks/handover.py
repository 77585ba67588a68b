"""Handing a 93 x 704 x 1280 x 3 clip to a Triton model: by shared memory, as the worker does, and in the gRPC message."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from benchmarks.report import show, spread, write
from orrery.backend.config import config_pbtxt
from orrery.worker.triton_client import TritonStages
from orrery.worlds.contracts import FRAMES, DType, StageContract, scalar
from worker.hosting import started, until_ready

SINK = StageContract(name="clip_sink", version=1, inputs=(FRAMES,), outputs=(scalar("frame_count", DType.INT64),))
SINK_MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        frames = pb_utils.get_input_tensor_by_name(request, "frames").as_numpy()
        values = [("frame_count", np.array([len(frames)], np.int64)), ("stage_seconds", np.array([0.0]))]
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in values])
"""
CLIP = (93, 704, 1280, 3)


def run(results: Path, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        shared, inline = asyncio.run(measure(Path(folder), rounds))
    rows = {"shared memory, copy included": spread(shared), "gRPC message": spread(inline)}
    show(f"a uint8 clip {CLIP} to a Triton model", rows)
    ratio = rows["gRPC message"].p50 / rows["shared memory, copy included"].p50
    write(results, "handover", {"rows": rows, "grpc_over_shared_memory": ratio, "clip": CLIP})
    return {
        "handover_shm_p50_ms": round(1000 * rows["shared memory, copy included"].p50, 1),
        "handover_grpc_p50_ms": round(1000 * rows["gRPC message"].p50, 1),
        "handover_grpc_over_shm": round(ratio, 1),
    }


async def measure(folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Both ways in turn, so that a noisy machine troubles both alike; the first round of each grows Triton's pools."""
    lay_out(folder / "repository" / SINK.name)
    clip = np.random.RandomState(0).randint(0, 256, CLIP, np.uint8)
    shared, inline = [], []
    async with started(folder, (SINK.name,), {}) as server:
        port = server.options.grpc_port
        async with aclosing(TritonStages(f"127.0.0.1:{port}", shm_bytes=1 << 30)) as stages:
            await until_ready(stages, server)
            for _ in range(rounds + 1):
                shared.append(await by_shared_memory(stages, clip))
                inline.append(await asyncio.to_thread(by_message, port, clip))
    return shared[1:], inline[1:]


def lay_out(model: Path) -> None:
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(config_pbtxt(SINK))
    (model / "1" / "model.py").write_text(SINK_MODEL)


async def by_shared_memory(stages: TritonStages, clip: np.ndarray) -> float:
    async def ignore(_: Any) -> None:
        return

    started = time.perf_counter()
    async with stages.run(SINK, {"frames": clip}, ignore) as result:
        assert result.outputs["frame_count"] == len(clip)
    return time.perf_counter() - started


def by_message(port: int, clip: np.ndarray) -> float:
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        started = time.perf_counter()
        tensor = triton.InferInput("frames", clip.shape, "UINT8")
        tensor.set_data_from_numpy(clip)
        result = client.infer(SINK.name, [tensor])
        seconds = time.perf_counter() - started
    assert result.as_numpy("frame_count")[0] == len(clip)
    return seconds
