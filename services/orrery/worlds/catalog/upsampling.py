"""Which language model each family's official scripts have prompts rewritten by. Predict2.5's have none."""

from __future__ import annotations

from orrery.worlds.catalog.models import UpsamplingSpec, Workflow

PREDICT1_UPSAMPLING = {
    # The script leaves prompts of more than 250 words alone (`--word_limit_to_skip_upsampler`).
    Workflow.TEXT2WORLD: UpsamplingSpec(template="upsample-prompt1-12b", leave_from_words=251),
    Workflow.VIDEO2WORLD: UpsamplingSpec(template="pixtral-12b"),
}
PREDICT2_UPSAMPLING = {
    # Of a world from text the image is made from the prompt as it is, and the world from what is made of both.
    Workflow.TEXT2WORLD: UpsamplingSpec(template="reason1-7b"),
    Workflow.VIDEO2WORLD: UpsamplingSpec(template="reason1-7b"),
}
