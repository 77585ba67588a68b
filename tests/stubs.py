"""The processes in which a Triton's Python models run."""

from __future__ import annotations

import psutil


def stubs_of(triton: psutil.Process, model: str) -> list[psutil.Process]:
    """Those of one model; none where it died."""
    return [stub for stub in triton.children() if any(f"/{model}/" in word for word in stub.cmdline())]
