"""Content-addressed artifacts and memos."""

from orrery.artifacts.memo import memo_key
from orrery.artifacts.objects import ObjectArtifacts, open_store
from orrery.artifacts.store import ArtifactStore, Stored, SweptStore

__all__ = ["ArtifactStore", "ObjectArtifacts", "Stored", "SweptStore", "memo_key", "open_store"]
