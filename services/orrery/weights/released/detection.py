"""Which of the released networks a file is."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orrery.weights.errors import CheckpointUnknown
from orrery.weights.released.predict1 import GENERATION as PREDICT1
from orrery.weights.released.predict2 import GENERATION as PREDICT2
from orrery.weights.released.predict25 import GENERATION as PREDICT25
from orrery.weights.released.variant import EMBEDDER, PREFIX, Generation, Variant

GENERATIONS = (PREDICT1, PREDICT2, PREDICT25)

UNSERVED_NAMES = ("natten", "distill", "fast_tokenizer", "multiview", "interpolator", "action", "instruction")
"""In the name of a file: a network of the same tensors that is to be run otherwise, which only its name says."""


def variant_of(file: str, shapes: Mapping[str, tuple[int, ...]], variants: Collection[Variant]) -> Variant:
    """Which of `variants` has its generation's names and an embedder of this shape. `shapes` are by plain names.

    Raises `CheckpointUnknown` for a file that is none of them, or that cannot be told from another by its tensors.
    """
    generation = generation_of(file, shapes)
    unserved = next((word for word in UNSERVED_NAMES if word in file.lower() and word not in generation.ways), None)
    if unserved is not None:
        raise CheckpointUnknown(f"{file}: by its name ({unserved}) it is to be run in a way that no stage has")
    known: dict[tuple[int, ...], Variant] = {one.embedder: one for one in variants if one.generation == generation}
    if shapes[EMBEDDER] not in known:
        expected = ", ".join(f"{list(shape)} ({variant.name})" for shape, variant in known.items())
        found = f"{file} is of {generation.name}: {EMBEDDER} is {list(shapes[EMBEDDER])}"
        raise CheckpointUnknown(f"{found}; expected was one of {expected or 'none'}")
    return known[shapes[EMBEDDER]]


def generation_of(file: str, shapes: Mapping[str, tuple[int, ...]]) -> Generation:
    """That of which the file has all marks; of several the one with most. Raises `CheckpointUnknown`."""
    possible = [generation for generation in GENERATIONS if all(mark in shapes for mark in generation.marks)]
    if not possible:
        raise CheckpointUnknown(f"{file} has no {PREFIX}{EMBEDDER}, as every denoiser has")
    return max(possible, key=lambda generation: len(generation.marks))
