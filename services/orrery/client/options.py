"""Options that several commands share, as values: a command that takes one has all its fields as options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from orrery.client.completion import complete_models, complete_with
from orrery.worlds.catalog.models import OutputFormat, Sampler
from orrery.worlds.environment import DEFAULT_PORT
from orrery.worlds.requests import Numerics

if TYPE_CHECKING:
    from orrery.sdk import Client

DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
PRIORITIES = ("interactive", "standard", "batch")

Url = Annotated[str, typer.Option(envvar="ORRERY_URL", help="The gateway.")]
Json = Annotated[bool, typer.Option("--json", help="Prints what the gateway answers, as JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many jobs.")]


@dataclass(frozen=True)
class Connection:
    """How the gateway is reached."""

    url: Url = DEFAULT_URL
    api_key: Annotated[str | None, typer.Option(envvar="ORRERY_API_KEY", help="For a gateway that wants one.")] = None
    tenant: Annotated[str | None, typer.Option(envvar="ORRERY_TENANT", help="For whom jobs are made.")] = None
    retries: Annotated[int, typer.Option(min=0, help="How often a request that failed is sent again.")] = 2

    def client(self) -> Client:
        from orrery.sdk import Client, Retries  # a gateway's own machine may have no HTTP client

        return Client(self.url, api_key=self.api_key, tenant=self.tenant, retries=Retries(times=self.retries))


@dataclass(frozen=True)
class WorldOptions:
    """What is asked of a world; what is left out is the model's default, see `orrery models NAME`."""

    model: Annotated[str | None, typer.Option(autocompletion=complete_models)] = None
    negative_prompt: Annotated[str | None, typer.Option(help="What it should not show.")] = None
    size: Annotated[str | None, typer.Option(help="As in 1280x704.")] = None
    resolution: Annotated[str | None, typer.Option(help="As in 720; instead of a size.")] = None
    aspect_ratio: Annotated[str | None, typer.Option(help="As in 16:9.")] = None
    num_frames: int | None = None
    seconds: Annotated[int | None, typer.Option(help="Instead of a number of frames.")] = None
    num_chunks: Annotated[int | None, typer.Option(help="Passes of so many frames, each from the last one's end.")] = None
    chunk_size: Annotated[int | None, typer.Option(help="Frames that each pass of a longer film gives.")] = None
    chunk_overlap: Annotated[int | None, typer.Option(help="Frames that two chunks share.")] = None
    fps: int | None = None
    num_conditional_frames: Annotated[int | None, typer.Option(help="Frames of the clip that it begins with.")] = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    seed: int | None = None
    sampler: Annotated[str | None, typer.Option(autocompletion=complete_with(Sampler))] = None
    numerics: Annotated[str | None, typer.Option(autocompletion=complete_with(Numerics))] = None
    output_format: Annotated[str | None, typer.Option(autocompletion=complete_with(OutputFormat))] = None
    prompt_upsampling: Annotated[bool | None, typer.Option(help="Whether a language model rewrites the prompt first.")] = None
    lora: Annotated[str | None, typer.Option(help="A LoRA that the gateway offers.")] = None
    lora_scale: Annotated[float | None, typer.Option(help="How strong it is; 1 if not given.")] = None
    priority: Annotated[str | None, typer.Option(autocompletion=complete_with(PRIORITIES))] = None
    expires_after: Annotated[int | None, typer.Option(help="Seconds that the job is kept after its end.")] = None
    webhook_url: Annotated[str | None, typer.Option(help="Is told of the job's end.")] = None

    def given(self) -> dict[str, Any]:
        """By name, without what was left out."""
        named = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Each parameter that is a dataclass becomes the options of its fields."""
    own = inspect.signature(command, eval_str=True).parameters
    packs: dict[str, Any] = {name: one.annotation for name, one in own.items() if is_dataclass(one.annotation)}
    parameters = [one for name, one in own.items() if name not in packs]
    parameters += [option for pack in packs.values() for option in _options(pack)]

    @wraps(command)
    def called(**values: Any) -> None:
        for name, pack in packs.items():
            values[name] = pack(**{one.name: values.pop(one.name) for one in fields(pack)})
        command(**values)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    return called


def _options(pack: Any) -> list[Parameter]:
    hints = get_type_hints(pack, include_extras=True)
    return [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]) for one in fields(pack)
    ]
