"""The byte by which a caller steers a stage that is running: POSIX shared memory of the caller's, which the stage reads."""

from __future__ import annotations

from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where the kernel puts POSIX shared memory
PREFIX = "orrery-"
"""Begins every name, so that a stage can be made to read nothing else."""

GO_ON, YIELD = 0, 1
"""Values of the byte: go on to the end; hand out a checkpoint after this step and stop."""
