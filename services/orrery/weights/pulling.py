"""A component from the hub into a folder of components.

It grows in `.pull/NAME` beside the components. Each file has its digest checked there; the manifest is written last, and then
the folder is moved to its place in one step. So a component that is half there is never taken for one that is installed, and a
pull that was broken off goes on where it was.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from orrery.weights.errors import ChecksumMismatch, HubMissing, NoSpace
from orrery.weights.hub import Hub, HubFile, Listing, Told
from orrery.weights.manifests import move_in
from orrery.weights.released import VARIANTS
from orrery.worlds.catalog.components import ComponentSpec, HubFolder, HubSource
from orrery.worlds.components import MANIFEST, verify
from orrery.worlds.errors import ComponentUnusable
from orrery.worlds.plan import Frozen

STAGING = ".pull"
PART = ".part"
COMMIT = re.compile("[0-9a-f]{7,40}")


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def say(self, text: str) -> None: ...

    def file(self, path: str, size: int, there: int) -> Told:
        """A file of `size` bytes is begun, of which some are there. What is returned is told of those that come."""


class Pulled(Frozen):
    """`fetched` in bytes: 0 if all was there."""

    name: str
    fingerprint: str
    source: str | None
    fetched: int


def pull(hub: Hub, spec: ComponentSpec, models_dir: Path, revision: str | None, watch: Watcher) -> Pulled:
    """Makes the component be in `models_dir`, whole. One that is there is read and left as it is.

    Raises `HubDenied`, `HubMissing`, `HubUnreachable`, `ChecksumMismatch` or `NoSpace`, and `ComponentUnusable` where the
    component's folder is in the way.
    """
    folder = models_dir / spec.name
    if folder.exists():
        return _there(folder, spec, revision)
    if spec.source is None:
        raise HubMissing(f"no hub has {spec.name}: the miniature comes with the package, `make models` builds the tiny ones")
    listing = hub.listing(spec.source.repository, revision or spec.source.revision)
    staging = models_dir / STAGING / spec.name
    if spec.source.released is not None:
        return _pull_released(hub, spec, released_file(listing, spec.source.released), listing, staging, watch)
    wanted = chosen(listing, spec.source)
    fetched = _fill(hub, listing, wanted, staging, watch)
    for path in [path for path in staging.rglob("*") if path.is_file()]:
        if str(path.relative_to(staging)) not in wanted:
            path.unlink()  # of another revision
    manifest = move_in(staging, folder, spec.kind, source=listing.source, say=watch.say)
    return Pulled(name=spec.name, fingerprint=manifest.fingerprint, source=listing.source, fetched=fetched)


def _pull_released(hub: Hub, spec: ComponentSpec, file: HubFile, listing: Listing, staging: Path, watch: Watcher) -> Pulled:
    """A `.pt` file becomes the component as `orrery models convert` makes it one. It is not kept."""
    from orrery.weights.converting import convert  # which loads torch: others are pulled without

    name = Path(file.path).name
    fetched = _fill(hub, listing, {name: file}, staging, watch)
    source = f"{listing.source}/{file.path}"
    manifest = convert(staging / name, spec.name, staging.parents[1], variants=VARIANTS, source=source, say=watch.say)
    shutil.rmtree(staging)
    if not any(staging.parent.iterdir()):
        staging.parent.rmdir()
    return Pulled(name=spec.name, fingerprint=manifest.fingerprint, source=manifest.source, fetched=fetched)


def released_file(listing: Listing, pattern: str) -> HubFile:
    """The one file that is called so, in the folder that the pattern names. Raises `HubMissing`."""
    deep = pattern.count("/")
    found = [file for file in listing.files if fnmatchcase(file.path, pattern) and file.path.count("/") == deep]
    if len(found) != 1:
        raise HubMissing(f"{listing.source} has {len(found)} files {pattern}; choose another --revision")
    return found[0]


def _there(folder: Path, spec: ComponentSpec, revision: str | None) -> Pulled:
    if not (folder / MANIFEST).exists():
        raise ComponentUnusable(
            f"{folder} has no {MANIFEST}: `orrery models add` writes it; or remove the folder and pull again"
        )
    try:
        manifest = verify(folder)
    except ComponentUnusable as error:
        raise ComponentUnusable(f"{error.message}: remove {folder} and pull again") from error
    if revision is not None and not _may_be(manifest.source, revision):
        raise ComponentUnusable(f"{folder} is of {manifest.source}, not of {revision}: remove it and pull again")
    return Pulled(name=spec.name, fingerprint=manifest.fingerprint, source=manifest.source, fetched=0)


def _may_be(source: str | None, revision: str) -> bool:
    """Whether what came from `source` is that revision. A branch or a tag may be any commit, and the hub is not asked again."""
    return COMMIT.fullmatch(revision) is None or (source or "").rpartition("@")[2].startswith(revision)


def chosen(listing: Listing, source: HubSource) -> dict[str, HubFile]:
    """The files that a stage needs, by their path in the component. Raises `HubMissing` naming what is not there."""
    return {
        str(Path(folder.into, file.path.removeprefix(f"{folder.folder}/"))): file
        for folder in source.folders
        for file in _of_folder(listing, folder)
    }


def _of_folder(listing: Listing, folder: HubFolder) -> list[HubFile]:
    found = []
    for patterns in folder.needed:
        # The first pattern that names files: whole weights, or else the parts of them.
        match = next((files for pattern in patterns if (files := _matching(listing, folder, pattern))), None)
        if match is None:
            raise HubMissing(f"{listing.source} has no {folder.folder}/{' or '.join(patterns)}; choose another --revision")
        found += match
    return found + [file for pattern in folder.wanted for file in _matching(listing, folder, pattern)]


def _matching(listing: Listing, folder: HubFolder, pattern: str) -> list[HubFile]:
    # A folder's own files alone: no name that the hub tells leads out of the component.
    files = (file for file in listing.files if file.path.rpartition("/")[0] == folder.folder)
    return [file for file in files if fnmatchcase(file.path, f"{folder.folder}/{pattern}")]


def _fill(hub: Hub, listing: Listing, wanted: dict[str, HubFile], staging: Path, watch: Watcher) -> int:
    """Fetches into `staging` what it lacks, and returns how many bytes came."""
    staging.mkdir(parents=True, exist_ok=True)
    lacking = {name: file for name, file in wanted.items() if not _is(staging / name, file)}
    missing = {name: file.size - _begun(_part(staging / name, file), file) for name, file in lacking.items()}
    free = shutil.disk_usage(staging).free
    if sum(missing.values()) > free:
        raise NoSpace(f"{listing.source} needs {sum(missing.values())} more bytes in {staging.parents[1]}, which has {free}")
    watch.say(f"{staging.name}: {len(lacking)} of {len(wanted)} files to fetch from {listing.source}")
    for name, file in lacking.items():
        _fetch(hub, listing, file, staging / name, watch)
    return sum(missing.values())


def _part(path: Path, file: HubFile) -> Path:
    """Where a file grows: named by its content, so that a part of another revision's is never gone on with."""
    return path.with_name(f"{path.name}.{file.sha256 or file.git_blob}{PART}")


def _begun(part: Path, file: HubFile) -> int:
    """How many bytes are there; a part that is too long is none."""
    if part.exists() and part.stat().st_size > file.size:
        part.unlink()
    return part.stat().st_size if part.exists() else 0


def _fetch(hub: Hub, listing: Listing, file: HubFile, path: Path, watch: Watcher) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path, file)
    hub.append(listing, file, part, watch.file(file.path, file.size, _begun(part, file)))
    if not _is(part, file):
        part.unlink()
        raise ChecksumMismatch(f"{listing.source}: {file.path} came with another checksum than the hub tells; pull it again")
    part.replace(path)


def _is(path: Path, file: HubFile) -> bool:
    """Whether the file is there and has the size and digest that the hub tells."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    if file.sha256 is not None:
        return _digest(path, hashlib.sha256) == file.sha256
    # What git's own name of a file is made of.
    return _digest(path, lambda: hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)) == file.git_blob


def _digest(path: Path, start: Callable[[], Any]) -> str:
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, start).hexdigest())
