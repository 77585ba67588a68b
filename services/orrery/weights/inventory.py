"""What is in a folder of components, and whether it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from orrery.worlds.catalog import CATALOG
from orrery.worlds.catalog.components import COMPONENTS, ComponentSpec
from orrery.worlds.components import MANIFEST, PACKAGED, ComponentKind, ComponentManifest, check_sizes, read_manifest, verify
from orrery.worlds.errors import ComponentUnusable, UnknownModel
from orrery.worlds.plan import Frozen


class State(StrEnum):
    """`unfinished` has no manifest; `installed` has all files in their sizes; `verified` has all their digests too."""

    MISSING = "missing"
    UNFINISHED = "unfinished"
    BROKEN = "broken"
    INSTALLED = "installed"
    VERIFIED = "verified"


class Found(Frozen):
    """A component as it was found. `size` is in bytes, by the manifest; `problem` says what is broken."""

    name: str
    kind: ComponentKind | None
    state: State
    folder: Path | None = None
    size: int | None = None
    source: str | None = None
    random_weights: bool = False
    problem: str | None = None


class Stock(Frozen):
    """A model of the catalog and its components."""

    model: str
    description: str
    components: tuple[Found, ...]

    @property
    def complete(self) -> bool:
        """Whether every component is there as far as was looked."""
        return all(one.state in (State.INSTALLED, State.VERIFIED) for one in self.components)


def look(models_dir: Path, name: str, *, digests: bool) -> Found:
    """A component in `models_dir`, or, where that has none of the name, in the package. With `digests` every file is read."""
    folder = next((place / name for place in (models_dir, PACKAGED) if (place / name).is_dir()), None)
    spec = COMPONENTS.get(name)
    kind = spec.kind if spec else None
    if folder is None:
        return Found(name=name, kind=kind, state=State.MISSING)
    if not (folder / MANIFEST).exists():
        return Found(name=name, kind=kind, state=State.UNFINISHED, folder=folder, problem=f"it has no {MANIFEST}")
    try:
        manifest = read_manifest(folder)
        (verify if digests else check_sizes)(folder)
    except ComponentUnusable as error:
        return Found(name=name, kind=kind, state=State.BROKEN, folder=folder, problem=error.message)
    return _found(manifest, folder, State.VERIFIED if digests else State.INSTALLED)


def _found(manifest: ComponentManifest, folder: Path, state: State) -> Found:
    size = sum(file.size for file in manifest.files.values())
    return Found(
        name=folder.name,
        kind=manifest.kind,
        state=state,
        folder=folder,
        size=size,
        source=manifest.source,
        random_weights=manifest.random_weights,
    )


def stock(models_dir: Path, *, digests: bool = False) -> tuple[Stock, ...]:
    """Every model of the catalog. A component that several models share is looked at once."""
    seen = {name: look(models_dir, name, digests=digests) for name in COMPONENTS}
    return tuple(
        Stock(model=model.name, description=model.description, components=tuple(seen[name] for name in model.components))
        for model in CATALOG.values()
    )


def loras(models_dir: Path, *, digests: bool = False) -> tuple[Found, ...]:
    """Every LoRA in the folder: models of the catalog need none, requests may name any."""
    found = [name for name in names_in(models_dir) if look(models_dir, name, digests=False).kind is ComponentKind.LORA]
    return tuple(look(models_dir, name, digests=digests) for name in found)


def names_in(models_dir: Path) -> tuple[str, ...]:
    """Of every component with a manifest, sorted."""
    return tuple(sorted(path.parent.name for path in models_dir.glob(f"*/{MANIFEST}")))


def components_of(names: Sequence[str]) -> tuple[str, ...]:
    """Each once, in their order, with models for their components."""
    lists = (CATALOG[name].components if name in CATALOG else (name,) for name in names)
    return tuple(dict.fromkeys(name for names in lists for name in names))


def specs_of(names: Sequence[str]) -> tuple[ComponentSpec, ...]:
    """Of these models and components. Raises `UnknownModel` for a name that the catalog does not have."""
    unknown = next((name for name in components_of(names) if name not in COMPONENTS), None)
    if unknown is not None:
        raise UnknownModel(f"the catalog has no model or component {unknown!r}", field="model", allowed=[*CATALOG, *COMPONENTS])
    return tuple(COMPONENTS[name] for name in components_of(names))
