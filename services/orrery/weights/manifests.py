"""Writing the manifest of a component that is whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from orrery.worlds.catalog.components import COMPONENTS, tokenizer_of
from orrery.worlds.components import LORA_FILES, MANIFEST, ComponentKind, ComponentManifest, LatentRgb, verify, write_manifest
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.neighbourhoods import mark

Say = Callable[[str], None]


def describe(folder: Path, kind: ComponentKind | None, *, say: Say) -> ComponentManifest:
    """Writes the manifest of a folder that has none. `kind` is the catalog's if None.

    A transformer of the catalog that attends to neighbourhoods is marked so: its name says it, and no tensor of it does.

    Raises `ComponentUnusable` without a folder or a kind, or where there is a manifest already.
    """
    spec = COMPONENTS.get(folder.name)
    kind = kind or (spec.kind if spec else None)
    if not folder.is_dir():
        raise ComponentUnusable(f"there is no folder {folder}")
    if kind is None:
        raise ComponentUnusable(f"the catalog knows no component {folder.name}: say its --kind")
    if kind is ComponentKind.LORA and not any((folder / name).is_file() for name in LORA_FILES):
        raise ComponentUnusable(f"{folder} holds no LoRA: that is a file {' or '.join(LORA_FILES)}")
    if (folder / MANIFEST).exists():
        raise ComponentUnusable(f"{folder} has a {MANIFEST} already; `orrery models verify` holds its files to it")
    if spec is not None:
        mark(folder / "config.json", spec.neighbourhoods)
    return write_manifest(folder, kind, latent_rgb=latent_rgb(folder.name, kind, folder.parent, say=say))


def move_in(staging: Path, folder: Path, kind: ComponentKind, *, source: str | None, say: Say) -> ComponentManifest:
    """Makes what grew in `staging` the component `folder`, in one step: its manifest is written before it is moved.

    `source` is where the manifest says it came from. The folder that staging lay in goes with the last component in it.
    """
    rgb = latent_rgb(folder.name, kind, folder.parent, say=say)
    manifest = write_manifest(staging, kind, latent_rgb=rgb, source=source)
    staging.rename(folder)
    if not any(staging.parent.iterdir()):
        staging.parent.rmdir()
    return manifest


def latent_rgb(name: str, kind: ComponentKind, models_dir: Path, *, say: Say) -> LatentRgb | None:
    """How latents of a transformer are shown, from its video tokenizer in `models_dir`.

    None, and for a transformer a word why, where that cannot be told: then there are no previews.
    """
    if kind is not ComponentKind.TRANSFORMER:
        return None
    why = _cannot_fit(name, models_dir)
    if why is not None:
        say(f"{name}: without previews, {why}")
        return None
    return _fitted(models_dir / tokenizer_of(name))


@cache
def _fitted(tokenizer: Path) -> LatentRgb:
    """Once for all transformers of a model that is fetched: it takes its time."""
    from orrery.stages.colours import fit_latent_rgb

    return fit_latent_rgb(tokenizer)


def _cannot_fit(name: str, models_dir: Path) -> str | None:
    if name not in COMPONENTS:
        return "since the catalog does not say which video tokenizer is its own"
    tokenizer = tokenizer_of(name)
    if not (models_dir / tokenizer / MANIFEST).is_file():
        return f"since {tokenizer} is not in {models_dir}"
    if find_spec("torch") is None:
        return "since torch is not installed here"
    verify(models_dir / tokenizer)
    return None
