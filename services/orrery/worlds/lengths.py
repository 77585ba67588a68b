"""How long a film is: what a client asks of frames, seconds and chunks, held to what a model can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from orrery.worlds.catalog.models import ChunkSpec, DenoiserSpec
from orrery.worlds.errors import InvalidField


class Asked(Protocol):
    """None means the model's default."""

    @property
    def num_frames(self) -> int | None: ...
    @property
    def seconds(self) -> int | None: ...
    @property
    def num_chunks(self) -> int | None: ...
    @property
    def chunk_size(self) -> int | None: ...
    @property
    def chunk_overlap(self) -> int | None: ...


@dataclass(frozen=True)
class Length:
    """A film in chunks is made by `num_chunks` passes. Each begins with the last `chunk_overlap` frames of the one before.

    With a `chunk_size` it has `num_frames` in all, and each pass gives that many of them; else each pass gives `num_frames`.
    """

    num_frames: int
    num_chunks: int = 1
    chunk_size: int | None = None
    chunk_overlap: int = 0


def settle_length(asked: Asked, spec: DenoiserSpec, fps: int) -> Length:
    """Raises `InvalidField` naming the field and what is allowed."""
    if asked.seconds is not None and asked.num_frames is not None:
        raise InvalidField("give seconds or num_frames, not both", field="seconds", allowed="one of the two")
    chunks = spec.chunks
    if chunks is None:
        _refuse(asked, "num_chunks", allowed=1)
        _refuse(asked, "chunk_size")
        _refuse(asked, "chunk_overlap")
        return Length(_one_pass(asked, spec, fps))
    return _counted(asked, spec, chunks, fps) if chunks.sizes is None else _measured(asked, spec, chunks, fps)


def num_frames_allowed(spec: DenoiserSpec) -> str:
    """In words."""
    if spec.chunks is None or spec.chunks.sizes is None:
        return str(spec.num_frames)
    return f"{spec.num_frames}, or in chunks up to {spec.chunks.longest}"


def longest(spec: DenoiserSpec) -> int:
    """The most frames that `num_frames` and `seconds` can ask for."""
    measured = spec.chunks is not None and spec.chunks.sizes is not None
    return spec.chunks.longest if measured and spec.chunks is not None else spec.num_frames.maximum


def chunk_parameters(spec: DenoiserSpec) -> dict[str, Any]:
    """Defaults and what is allowed, as `parameters_of` has them."""
    chunks = spec.chunks
    if chunks is None:
        return {}
    overlap = {"default": chunks.overlaps[0], "allowed": list(chunks.overlaps)}
    if chunks.sizes is None:
        return {"num_chunks": {"default": 1, "allowed": f"1 to {chunks.maximum}"}, "chunk_overlap": overlap}
    return {"chunk_size": {"default": chunks.default_size, "allowed": str(chunks.sizes)}, "chunk_overlap": overlap}


def chunks_needed(num_frames: int, size: int, overlap: int) -> int:
    """How many chunks of `size` that share `overlap` make `num_frames` (official `generate_autoregressive_from_batch`)."""
    return 1 + -(-max(0, num_frames - size) // (size - overlap))


def _counted(asked: Asked, spec: DenoiserSpec, chunks: ChunkSpec, fps: int) -> Length:
    _refuse(asked, "chunk_size")
    overlap = _overlap(asked, chunks)
    count = 1 if asked.num_chunks is None else asked.num_chunks
    if not 1 <= count <= chunks.maximum:
        raise InvalidField(f"num_chunks {count} is out of range", field="num_chunks", allowed=f"1 to {chunks.maximum}")
    if count == 1:
        return Length(_one_pass(asked, spec, fps))
    if asked.seconds is not None:
        raise InvalidField("give seconds or num_chunks, not both", field="seconds", allowed="one of the two")
    frames = _one_pass(asked, spec, fps)
    if frames <= overlap:
        raise InvalidField(f"num_frames {frames} are no more than chunks share", field="num_frames", allowed=f"over {overlap}")
    return Length(frames, count, chunk_overlap=overlap)


def _measured(asked: Asked, spec: DenoiserSpec, chunks: ChunkSpec, fps: int) -> Length:
    _refuse(asked, "num_chunks", allowed=1)
    overlap, size = _overlap(asked, chunks), _size(asked, chunks)
    frames = _whole_film(asked, spec, chunks, fps)
    if frames <= (spec.num_frames.maximum if asked.chunk_size is None else size):
        return Length(frames)
    count = chunks_needed(frames, size, overlap)
    if count > chunks.maximum:
        most = size + (chunks.maximum - 1) * (size - overlap)
        raise InvalidField(f"num_frames {frames} need {count} chunks", field="num_frames", allowed=f"up to {most}")
    return Length(frames, count, size, overlap)


def _whole_film(asked: Asked, spec: DenoiserSpec, chunks: ChunkSpec, fps: int) -> int:
    wanted = asked.num_frames if asked.seconds is None else asked.seconds * fps
    if wanted is None or wanted <= spec.num_frames.maximum:
        return _one_pass(asked, spec, fps)
    if wanted > chunks.longest:
        field, allowed = ("num_frames", num_frames_allowed(spec)) if asked.seconds is None else ("seconds", _seconds(spec, fps))
        raise InvalidField(f"{field} is more than can be made", field=field, allowed=allowed)
    return wanted


def _one_pass(asked: Asked, spec: DenoiserSpec, fps: int) -> int:
    if asked.seconds is not None:
        return _frames_of_seconds(asked.seconds, spec, fps)
    frames = spec.default_num_frames if asked.num_frames is None else asked.num_frames
    if frames not in spec.num_frames:
        raise InvalidField(f"num_frames {frames} is not offered", field="num_frames", allowed=num_frames_allowed(spec))
    return frames


def _frames_of_seconds(seconds: int, spec: DenoiserSpec, fps: int) -> int:
    """The fewest frames 1+4k that last at least `seconds`."""
    limits = spec.num_frames
    missing = max(0, seconds * fps - limits.minimum)
    frames = limits.minimum + -(-missing // limits.step) * limits.step
    if seconds < 1 or frames not in limits:
        raise InvalidField(f"seconds {seconds} is not offered", field="seconds", allowed=_seconds(spec, fps))
    return frames


def _seconds(spec: DenoiserSpec, fps: int) -> str:
    return f"1 to {longest(spec) // fps}"


def _size(asked: Asked, chunks: ChunkSpec) -> int:
    size = chunks.default_size if asked.chunk_size is None else asked.chunk_size
    if chunks.sizes is None or size not in chunks.sizes:
        raise InvalidField(f"chunk_size {size} is out of range", field="chunk_size", allowed=str(chunks.sizes))
    return size


def _overlap(asked: Asked, chunks: ChunkSpec) -> int:
    overlap = chunks.overlaps[0] if asked.chunk_overlap is None else asked.chunk_overlap
    if overlap not in chunks.overlaps:
        message = f"chunk_overlap {overlap} is not offered"
        raise InvalidField(message, field="chunk_overlap", allowed=list(chunks.overlaps))
    return overlap


def _refuse(asked: Asked, field: str, *, allowed: int | None = None) -> None:
    value = getattr(asked, field)
    if value is not None and value != allowed:
        raise InvalidField(f"{field} is not offered here", field=field, allowed=[] if allowed is None else [allowed])
