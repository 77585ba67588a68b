"""Settings from the environment, read once at a process's edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

SHARED_PREFIX = "ORRERY_"


def _split(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""In the environment, a list with commas."""


class ProcessSettings(BaseModel):
    """Fields in `shared` are `ORRERY_<FIELD>`, the same for every process; all others are `<prefix><FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: ClassVar[str]
    shared: ClassVar[frozenset[str]]


Settings = TypeVar("Settings", bound=ProcessSettings)


def from_environment(cls: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Raises `ValueError` for a variable of the process's own prefix that means nothing, and for a value that is wrong."""
    names = {_variable(cls, field): field for field in cls.model_fields}
    unknown = sorted(name for name in environment if name.startswith(cls.prefix) and name not in names)
    if unknown:
        raise ValueError(f"unknown settings {', '.join(unknown)}; known are {', '.join(sorted(names))}")
    return cls.model_validate({field: environment[name] for name, field in names.items() if name in environment})


def _variable(cls: type[ProcessSettings], field: str) -> str:
    return (SHARED_PREFIX if field in cls.shared else cls.prefix) + field.upper()
