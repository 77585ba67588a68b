"""The ensemble for native Triton clients: a request in, a video out, on a server that hosts every stage."""

from __future__ import annotations

from orrery.backend.config import ensemble_pbtxt, ensemble_step
from orrery.worlds import contracts

(TEXT2WORLD,) = contracts.ENSEMBLES


def text2world_pbtxt() -> str:
    """Text to image to world, as the planner's text2world workflow, each tensor named by the task that makes it."""
    outputs = (*contracts.PUBLISHER.outputs, contracts.TEXT2WORLD_REQUEST.outputs[0])
    return ensemble_pbtxt(TEXT2WORLD, contracts.TEXT2WORLD_REQUEST.parameters, outputs, _steps())


def _steps() -> tuple[str, ...]:
    request = contracts.TEXT2WORLD_REQUEST
    settled = {tensor.name: tensor.name for tensor in request.outputs}
    return (
        ensemble_step(request.name, {"request": "request"}, settled),
        _encode_text("prompt", "text_embeddings"),
        _encode_text("image_negative_prompt", "image_negative_text_embeddings"),
        _encode_text("negative_prompt", "negative_text_embeddings"),
        _denoise("image_", "image_transformer", {}),
        _decode("image_"),
        ensemble_step(
            contracts.VIDEO_ENCODER.name,
            {"component": "video_tokenizer", "frames": "image_frames", "height": "height", "width": "width"},
            {"latents": "condition_latents"},
        ),
        _denoise("", "world_transformer", {"condition_latents": "condition_latents"}),
        _decode(""),
        ensemble_step(
            contracts.PUBLISHER.name,
            {"frames": "frames", "fps": "fps", "output_format": "output_format"},
            {"media": "media", "thumbnail": "thumbnail", "spritesheet": "spritesheet"},
        ),
    )


def _encode_text(text: str, embeddings: str) -> str:
    inputs = {"component": "text_encoder", "prompt": text}
    return ensemble_step(contracts.TEXT_ENCODER.name, inputs, {"text_embeddings": embeddings})


def _denoise(prefix: str, component: str, condition: dict[str, str]) -> str:
    shared = ("text_embeddings", "seed", "num_inference_steps", "sampler")
    own = ("negative_text_embeddings", "latent_shape", "guidance_scale")
    inputs = {name: name for name in shared} | {name: f"{prefix}{name}" for name in own} | {"component": component}
    return ensemble_step(contracts.DENOISER_UNARY.name, inputs | condition, {"latents": f"{prefix}latents"})


def _decode(prefix: str) -> str:
    inputs = {"component": "video_tokenizer", "latents": f"{prefix}latents"}
    return ensemble_step(contracts.VIDEO_DECODER.name, inputs, {"frames": f"{prefix}frames"})
