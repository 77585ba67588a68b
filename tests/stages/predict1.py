"""The pipelines of diffusers for Predict1, made of the same components: the numbers to be equal to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from diffusers import (
    AutoencoderKLCosmos,
    CosmosTextToWorldPipeline,
    CosmosTransformer3DModel,
    CosmosVideoToWorldPipeline,
    EDMEulerScheduler,
)
from PIL import Image
from transformers import T5EncoderModel, T5TokenizerFast

from orrery.worlds.catalog import predict1
from orrery.worlds.catalog.models import ModelSpec
from stages.reference import NoSafetyChecker, Result, kept_run, load


class Reference:
    """Both pipelines over the components of a model, the tiny one's if not told otherwise; FP32, on the CPU."""

    def __init__(self, models_dir: Path, model: ModelSpec = predict1.TINY):
        assert model.text is not None
        assert model.world is not None
        self.models_dir = models_dir
        self.tokenizer = T5TokenizerFast.from_pretrained(models_dir / model.text_encoder / "tokenizer")
        self.text_encoder = T5EncoderModel.from_pretrained(models_dir / model.text_encoder).float().eval()
        self.vae = load(AutoencoderKLCosmos, models_dir / model.video_tokenizer)
        self.text = self.pipeline(CosmosTextToWorldPipeline, model.text.component)
        self.world = self.pipeline(CosmosVideoToWorldPipeline, model.world.component)

    def pipeline(self, cls: Any, component: str) -> Any:
        """With the scheduler's configuration that diffusers' converter writes for Predict1."""
        pipeline = cls(
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            transformer=load(CosmosTransformer3DModel, self.models_dir / component),
            vae=self.vae,
            scheduler=EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5, final_sigmas_type="sigma_min"),
            safety_checker=NoSafetyChecker(),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def text2world(self, **arguments: Any) -> Result:
        return kept_run(self.text, **arguments)

    def video2world(self, conditioning: np.ndarray, **arguments: Any) -> Result:
        pictures = [Image.fromarray(frame) for frame in conditioning]
        given = {"image": pictures[0]} if len(pictures) == 1 else {"video": pictures}
        return kept_run(self.world, **given, **arguments)
