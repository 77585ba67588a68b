"""Content-addressed artifacts and memos."""

from orrery.artifacts.memo import memo_key
from orrery.artifacts.objects import ObjectArtifacts, open_store
from orrery.artifacts.store import ArtifactStore

__all__ = ["ArtifactStore", "ObjectArtifacts", "memo_key", "open_store"]
