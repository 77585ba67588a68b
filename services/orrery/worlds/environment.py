"""Settings from the environment, read once at a process's edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

PREFIX = "ORRERY_"

DEFAULT_PORT = 8080
"""Where a gateway listens and clients look for one, if nobody says otherwise."""


def _split(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
"""In the environment, a list with commas."""


class ProcessSettings(BaseModel):
    """Every field is the variable of its name in capitals after the prefix, `ORRERY_`."""

    prefix: ClassVar[str] = PREFIX

    model_config = ConfigDict(frozen=True, extra="forbid")


Settings = TypeVar("Settings", bound=ProcessSettings)


def from_environment(cls: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Raises pydantic's `ValidationError` naming what is missing or wrong. Other processes' variables are not looked at."""
    names = {field: cls.prefix + field.upper() for field in cls.model_fields}
    return cls.model_validate({field: environment[name] for field, name in names.items() if name in environment})
