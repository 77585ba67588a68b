"""Components: weights by name, and the manifest that lies beside them and says what they are."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path

from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.plan import Frozen

MANIFEST = "component.json"
PACKAGED = Path(__file__).parents[1] / "miniature" / "components"
"""The folder of components that every installation has: the miniature's."""


class ComponentKind(StrEnum):
    """What a component is, which says who may load it."""

    TEXT_ENCODER = "text_encoder"
    VIDEO_TOKENIZER = "video_tokenizer"
    TRANSFORMER = "transformer"
    LORA = "lora"


SERVED_BY: dict[ComponentKind, tuple[str, ...]] = {
    ComponentKind.TEXT_ENCODER: ("text_encoder",),
    ComponentKind.VIDEO_TOKENIZER: ("video_encoder", "video_decoder"),
    ComponentKind.TRANSFORMER: ("denoiser", "transformer"),
    ComponentKind.LORA: (),
}
"""Which stages can serve a component of each kind. A LoRA is none by itself: it goes with a transformer."""

LORA_FILES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
"""What diffusers and PEFT call a file of LoRA weights."""


class ComponentFile(Frozen):
    """`sha256` in hex; `size` in bytes."""

    sha256: str
    size: int


Colour = tuple[float, float, float]


class LatentRgb(Frozen):
    """From latents to colours, red, green and blue in 0 to 1: the channels times `factors`, one row each, and `bias`."""

    factors: tuple[Colour, ...]
    bias: Colour


class ComponentManifest(Frozen):
    """`component.json`: the files of a component, relative to its folder. `random_weights` marks untrained checkpoints.

    `latent_rgb` of a transformer is how its latents are shown while they are made; without it they are not. `source` is where
    the files came from, as `repository@commit` of a hub or the name of a released file.
    """

    name: str
    kind: ComponentKind
    random_weights: bool = False
    latent_rgb: LatentRgb | None = None
    source: str | None = None
    files: dict[str, ComponentFile]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the sorted digests of all files; part of every memo key of a task that used the component."""
        listing = json.dumps({name: f.sha256 for name, f in sorted(self.files.items())}, separators=(",", ":"))
        return hashlib.sha256(listing.encode()).hexdigest()


def read_manifest(folder: Path) -> ComponentManifest:
    """Raises `ComponentUnusable` if the folder holds no readable manifest."""
    try:
        return ComponentManifest.model_validate_json((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ComponentUnusable(f"{folder}: no usable {MANIFEST}: {error}") from error


def write_manifest(
    folder: Path,
    kind: ComponentKind,
    *,
    random_weights: bool = False,
    latent_rgb: LatentRgb | None = None,
    source: str | None = None,
) -> ComponentManifest:
    """Digests every file of `folder` and writes its manifest, under the folder's own name."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = {str(p.relative_to(folder)): ComponentFile(sha256=_sha256(p), size=p.stat().st_size) for p in paths}
    told = {"random_weights": random_weights, "latent_rgb": latent_rgb, "source": source}
    manifest = ComponentManifest.model_validate({"name": folder.name, "kind": kind, "files": files} | told)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n")
    return manifest


def verify(folder: Path) -> ComponentManifest:
    """Reads every file again, several at a time: a digest is computed without Python's lock.

    Raises `ComponentUnusable` naming the first one that is not what the manifest says.
    """
    manifest = check_sizes(folder)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="digests") as pool:
        digests = pool.map(_sha256, [folder / name for name in manifest.files])
        changed = [name for name, digest in zip(manifest.files, digests, strict=True) if digest != manifest.files[name].sha256]
    if changed:
        raise _changed(manifest, changed[0])
    return manifest


def check_sizes(folder: Path) -> ComponentManifest:
    """Reads no file. Raises `ComponentUnusable` naming the first one that is missing or not as large as the manifest says."""
    manifest = read_manifest(folder)
    for name, file in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != file.size:
            raise _changed(manifest, name)
    return manifest


def _changed(manifest: ComponentManifest, name: str) -> ComponentUnusable:
    return ComponentUnusable(f"component {manifest.name}: {name} is missing or has changed since its manifest")


def installed(models_dir: Path) -> dict[str, ComponentManifest]:
    """Manifests of every component folder under `models_dir`, by name."""
    folders = sorted(path.parent for path in models_dir.glob(f"*/{MANIFEST}"))
    return {manifest.name: manifest for manifest in map(read_manifest, folders)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
