"""The components that models of the catalog are made of: what each is, and where the hub has it.

Repositories and their diffusers layout are as NVIDIA's cards and diffusers' converter name them. The hub itself was not asked,
and no commit of it is known here: what is fetched is the newest of `main`, or the revision that the caller names.
"""

from __future__ import annotations

from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.models import ModelSpec
from orrery.worlds.catalog.predict2 import FILES as PREDICT2_FILES
from orrery.worlds.catalog.predict25 import FILES as PREDICT25_FILES
from orrery.worlds.components import ComponentKind
from orrery.worlds.plan import Frozen

CONFIG = ("config.json",)
DIFFUSERS_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model-*-of-*.safetensors")
TRANSFORMERS_WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")


class HubFolder(Frozen):
    """Files of a folder of a repository that go `into` a folder of the component.

    Each of `needed` is some patterns, as `fnmatch` has them: the first that names files is taken, and one must. `wanted` may be
    there or not.
    """

    folder: str
    into: str = ""
    needed: tuple[tuple[str, ...], ...]
    wanted: tuple[str, ...] = ()


class HubSource(Frozen):
    """A component on the hub: repository, revision (a commit, a branch or a tag) and what of it a stage needs.

    That is files of `folders`, or one `released` file, as a pattern, which is converted.
    """

    repository: str
    revision: str = "main"
    folders: tuple[HubFolder, ...] = ()
    released: str | None = None


class ComponentSpec(Frozen):
    """`source` is None for what no hub has: the miniature comes with the package, the tiny random ones are built.

    `neighbourhoods` of a transformer is the table that it is to be run with, as `config.json` must say.
    """

    name: str
    kind: ComponentKind
    source: HubSource | None = None
    neighbourhoods: str | None = None


VIDEO_TOKENIZER = HubFolder(folder="vae", needed=(CONFIG, DIFFUSERS_WEIGHTS))
TRANSFORMER = HubFolder(folder="transformer", needed=(CONFIG, DIFFUSERS_WEIGHTS))
TEXT_ENCODER = HubFolder(folder="text_encoder", needed=(CONFIG, TRANSFORMERS_WEIGHTS), wanted=("model.safetensors.index.json",))
TOKENIZER = HubFolder(
    folder="tokenizer",
    into="tokenizer",
    needed=(("tokenizer_config.json",), ("tokenizer.json", "spiece.model")),
    wanted=("tokenizer.json", "spiece.model", "special_tokens_map.json", "added_tokens.json"),
)
"""Of a T5, as transformers saves it."""

SHARED = "nvidia/Cosmos-Predict2-2B-Text2Image"
"""Whose text encoder all of Predict1 and Predict2 shares, and whose video tokenizer all of Predict2."""

QWEN_TOKENIZER = HubFolder(
    folder="tokenizer",
    into="tokenizer",
    needed=(("tokenizer_config.json",), ("tokenizer.json", "vocab.json")),
    wanted=(*TOKENIZER.wanted, "vocab.json", "merges.txt", "chat_template.jinja"),
)


def _predict25(component: str) -> HubSource:
    size = component.split("-")[1]
    return HubSource(repository=f"nvidia/Cosmos-Predict2.5-{size.upper()}", released=PREDICT25_FILES[component])


def _diffusers25(*folders: HubFolder) -> HubSource:
    """The one checkpoint of Predict2.5 that the hub is known to have in diffusers' layout, and the text encoder of all."""
    return HubSource(repository="nvidia/Cosmos-Predict2.5-2B", revision="diffusers/base/post-trained", folders=folders)


def _predict2(component: str) -> HubSource:
    """The repositories have every checkpoint as `.pt`, in diffusers' layout one each."""
    _, size, kind, *_ = component.split("-")
    name = {"text2image": "Text2Image", "video2world": "Video2World"}[kind]
    return HubSource(repository=f"nvidia/Cosmos-Predict2-{size.upper()}-{name}", released=PREDICT2_FILES[component])


RELEASED = {component: _predict2(component) for component in PREDICT2_FILES} | {
    component: _predict25(component) for component in PREDICT25_FILES
}
SOURCES: dict[str, HubSource] = RELEASED | {
    "cosmos-reason1-7b": _diffusers25(TEXT_ENCODER, QWEN_TOKENIZER),
    "predict2.5-2b-base": _diffusers25(TRANSFORMER),
    "t5-11b": HubSource(repository=SHARED, folders=(TEXT_ENCODER, TOKENIZER)),
    "wan2.1-vae": HubSource(repository=SHARED, folders=(VIDEO_TOKENIZER,)),
    "cv8x8x8-vae": HubSource(repository="nvidia/Cosmos-1.0-Diffusion-7B-Text2World", folders=(VIDEO_TOKENIZER,)),
    "predict1-7b-text2world": HubSource(repository="nvidia/Cosmos-1.0-Diffusion-7B-Text2World", folders=(TRANSFORMER,)),
    "predict1-7b-video2world": HubSource(repository="nvidia/Cosmos-1.0-Diffusion-7B-Video2World", folders=(TRANSFORMER,)),
    "predict1-14b-text2world": HubSource(repository="nvidia/Cosmos-1.0-Diffusion-14B-Text2World", folders=(TRANSFORMER,)),
    "predict1-14b-video2world": HubSource(repository="nvidia/Cosmos-1.0-Diffusion-14B-Video2World", folders=(TRANSFORMER,)),
    "predict2-2b-text2image": HubSource(repository="nvidia/Cosmos-Predict2-2B-Text2Image", folders=(TRANSFORMER,)),
    "predict2-2b-video2world-720p16": HubSource(repository="nvidia/Cosmos-Predict2-2B-Video2World", folders=(TRANSFORMER,)),
    "predict2-14b-text2image": HubSource(repository="nvidia/Cosmos-Predict2-14B-Text2Image", folders=(TRANSFORMER,)),
    "predict2-14b-video2world-720p16": HubSource(repository="nvidia/Cosmos-Predict2-14B-Video2World", folders=(TRANSFORMER,)),
}


def _specs(model: ModelSpec) -> dict[str, ComponentSpec]:
    kinds = {model.text_encoder: ComponentKind.TEXT_ENCODER, model.video_tokenizer: ComponentKind.VIDEO_TOKENIZER}
    tables = {spec.component: spec.neighbourhoods for spec in (model.image, model.world, model.text) if spec is not None}
    return {
        name: ComponentSpec(
            name=name,
            kind=kinds.get(name, ComponentKind.TRANSFORMER),
            source=SOURCES.get(name),
            neighbourhoods=tables.get(name),
        )
        for name in model.components
    }


COMPONENTS: dict[str, ComponentSpec] = {name: spec for model in CATALOG.values() for name, spec in _specs(model).items()}


def tokenizer_of(component: str) -> str:
    """The video tokenizer whose latents a transformer of the catalog makes. Raises `StopIteration` if it is in no model."""
    return next(model.video_tokenizer for model in CATALOG.values() if component in model.components)


def owner_of(model: ModelSpec) -> str:
    """Whose networks a model has: the hub's name for it, or Orrery's own where no hub has them."""
    sources = [COMPONENTS[spec.component].source for spec in model.denoisers]
    return next((source.repository.split("/")[0] for source in sources if source is not None), "orrery")
