"""The first step of the `text2world` ensemble: a request in JSON becomes the tensors of every later step."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from orrery.stages.stage import Call, StageSettings, Values
from orrery.worlds import catalog, planner
from orrery.worlds.catalog.models import ModelSpec, Workflow
from orrery.worlds.contracts import TEXT2WORLD_REQUEST, StageContract
from orrery.worlds.errors import InvalidField, InvalidRequest
from orrery.worlds.requests import Numerics, RequestedWorld, WorldRequest, settle


class Text2WorldRequest:
    """Settles the request, asks the guardrail stage about its text, and hands out what the plan's tasks would be given."""

    contract: ClassVar[StageContract] = TEXT2WORLD_REQUEST

    def __init__(self, settings: StageSettings) -> None:
        self._settings = settings

    def run(self, values: Values, call: Call) -> Values:
        request, model = _read(values["request"], self._settings.default_model)
        texts = {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
        verdict = call.infer("guardrail_text", texts)["verdict"]
        return {"verdict": verdict} | texts | _tensors(request, model)


def _read(text: str, default_model: str) -> tuple[WorldRequest, ModelSpec]:
    try:
        body = json.loads(text)
        model = catalog.find(str(body.pop("model", default_model)))
        asked = RequestedWorld.model_validate(body)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidRequest(f"request is not a JSON object of known fields: {error}", field="request") from error
    # Triton's ensembles have a fixed graph, in which nobody rewrites prompts.
    request = settle(asked, model.model_copy(update={"upsampling": {}}), Workflow.TEXT2WORLD)
    if request.numerics is not Numerics.OFFICIAL:
        raise InvalidField("the ensemble computes official numerics", field="numerics", allowed=[str(Numerics.OFFICIAL)])
    return request, model


def _tensors(request: WorldRequest, model: ModelSpec) -> dict[str, Any]:
    """Read off the plan itself, so that the ensemble computes what the job would."""
    if request.num_chunks > 1:
        raise InvalidField("the ensemble makes one chunk", field="num_chunks", allowed=[1])
    if model.text is not None:
        raise InvalidField(f"the ensemble makes an image first; {model.name} makes worlds from text alone", field="model")
    plan = planner.plan(request, model)
    image, world = plan.task("image_denoise"), plan.task("denoise")
    shared = ("seed", "num_inference_steps", "sampler")
    return {name: world.parameters[name] for name in shared} | {
        "image_negative_prompt": model.denoiser(Workflow.TEXT2IMAGE).default_negative_prompt,
        "text_encoder": model.text_encoder,
        "video_tokenizer": model.video_tokenizer,
        "image_transformer": image.component,
        "world_transformer": world.component,
        "image_latent_shape": image.parameters["latent_shape"],
        "latent_shape": world.parameters["latent_shape"],
        "height": request.size.height,
        "width": request.size.width,
        "image_guidance_scale": image.parameters["guidance_scale"],
        "guidance_scale": world.parameters["guidance_scale"],
        "fps": request.fps,
        "output_format": request.output_format.value,
    }
