"""Frames out of the files that clips are published as."""

from __future__ import annotations

import io

import av
import numpy as np

from orrery.evaluation.regions import Frames


def frames_of(film: bytes) -> Frames:
    """[F, H, W, RGB]. Raises ValueError for what is no film, or has no frames."""
    try:
        with av.open(io.BytesIO(film), "r") as container:
            shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"not a film: {error}") from error
    if not shown:
        raise ValueError("the film has no frames")
    return np.stack(shown).astype(np.uint8, copy=False)
