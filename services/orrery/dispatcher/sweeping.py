"""What nobody needs any more is removed: expired jobs, memos beyond their budget, artifacts that nothing names.

Why no artifact goes that somebody still wants:

- What a job, a file or a batch names is live; all are asked again right before anything is removed.
- What is about to be named was put a moment ago (a put of what is there already renews its age), and `grace` is longer.
- What a memo names is kept with it. A memo goes first and its artifacts at the earliest `grace` later, so that a worker that
  recalled it just before has long completed its task: by then the artifacts are live.
- Jobs or a store that do not answer end the sweep before its removals.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from orrery.artifacts import Stored, SweptStore
from orrery.jobs.batches.store import Batches
from orrery.jobs.files import Files
from orrery.jobs.store import JobStore
from orrery.worlds.errors import JobNotFound

log = logging.getLogger(__name__)

EXPIRED_AT_ONCE = 100
INCOMING_SECONDS = 24 * 3600.0
"""How long an upload may take."""


@dataclass(frozen=True)
class Policy:
    """`grace` is how long an artifact may lie unnamed, `memo_seconds` how long a memo unused; `memo_bytes` is what memos
    may keep beyond what jobs, files and batches name. Of a batch nothing is known `batch_seconds` after its end. A `dry_run`
    only counts.
    """

    grace: float = 3600.0
    memo_bytes: int = 50 * 2**30
    memo_seconds: float = 30 * 24 * 3600.0
    batch_seconds: float = 30 * 24 * 3600.0
    dry_run: bool = False


@dataclass(frozen=True)
class Sweep:
    """What a sweep found and removed; of a dry run, what it would have removed now."""

    jobs: int = 0
    memos: int = 0
    artifacts: int = 0
    artifact_bytes: int = 0
    stored: int = 0
    stored_bytes: int = 0
    unneeded: int = 0
    """Artifacts that nothing names, also those whose grace is not over."""
    unneeded_bytes: int = 0


@dataclass(frozen=True)
class _Memo:
    modified: float
    digests: frozenset[str]


@dataclass(frozen=True)
class Namers:
    """All that name artifacts, but for memos."""

    jobs: JobStore
    files: Files
    batches: Batches


class Sweeper:
    """One per system is enough; two do no harm."""

    def __init__(self, namers: Namers, artifacts: SweptStore, policy: Policy, clock: Callable[[], float] = time.time) -> None:
        self._jobs = namers.jobs
        self._files = namers.files
        self._batches = namers.batches
        self._artifacts = artifacts
        self._policy = policy
        self._clock = clock
        self._memos: dict[str, _Memo] = {}
        self._unneeded_since: dict[str, float] = {}

    async def sweep(self) -> Sweep:
        """Raises `StoreUnavailable`, and has then removed no artifact."""
        expired = await self._expire()
        self._memos = await self._read_memos()
        # After the memos: what is missing here was missing when its memo was read.
        stored = {artifact.name: artifact async for artifact in self._artifacts.stored()}
        live = await self._live()
        forgotten = await self._forget(stored, live)
        unneeded = self._unneeded(stored, live)
        removed = await self._remove(unneeded)
        await self._artifacts.clear_incoming(older_than=INCOMING_SECONDS)
        return Sweep(
            jobs=expired,
            memos=forgotten,
            artifacts=len(removed),
            artifact_bytes=sum(artifact.size for artifact in removed),
            stored=len(stored),
            stored_bytes=sum(artifact.size for artifact in stored.values()),
            unneeded=len(unneeded),
            unneeded_bytes=sum(artifact.size for artifact in unneeded.values()),
        )

    async def _expire(self) -> int:
        if self._policy.dry_run:
            return len(await self._jobs.expired(EXPIRED_AT_ONCE))
        await self._files.forget_expired()
        await self._batches.forget_ended(self._policy.batch_seconds)
        count = 0
        while job_ids := await self._jobs.expired(EXPIRED_AT_ONCE):
            for job_id in job_ids:
                with suppress(JobNotFound):  # its client, or another dispatcher, was quicker
                    await self._jobs.delete(job_id)
                    log.info("job %s expired", job_id)
                    count += 1
        return count

    async def _read_memos(self) -> dict[str, _Memo]:
        """Only those are opened that changed since the last sweep."""
        found: dict[str, _Memo] = {}
        async for meta in self._artifacts.memos():
            known = self._memos.get(meta.name)
            if known is None or known.modified != meta.modified:
                known = await self._read_memo(meta)
            if known is not None:
                found[meta.name] = known
        return found

    async def _read_memo(self, meta: Stored) -> _Memo | None:
        outputs = await self._artifacts.memo(meta.name)
        return None if outputs is None else _Memo(meta.modified, frozenset(ref.digest for ref in outputs.values()))

    async def _live(self) -> set[str]:
        live: set[str] = set()
        # A batch names its results as files before it lets go of what they were made of: so it is asked before the files.
        for namer in (self._jobs, self._batches, self._files):
            live |= {digest async for digest in namer.live_artifacts()}
        return live

    async def _forget(self, stored: Mapping[str, Stored], live: Collection[str]) -> int:
        """Memos that can no longer be recalled, are too old, or are beyond the budget, of which the latest used get most."""
        doomed = self._doomed(stored, live)
        if not self._policy.dry_run:
            for key in doomed:
                await self._artifacts.forget(key)
                del self._memos[key]
        return len(doomed)

    def _doomed(self, stored: Mapping[str, Stored], live: Collection[str]) -> list[str]:
        oldest, kept, left = self._clock() - self._policy.memo_seconds, set(live), self._policy.memo_bytes
        doomed = []
        for key, memo in sorted(self._memos.items(), key=lambda item: item[1].modified, reverse=True):
            cost = sum(stored[digest].size for digest in memo.digests - kept if digest in stored)
            if memo.modified < oldest or cost > left or not memo.digests <= stored.keys():
                doomed.append(key)
            else:
                kept |= memo.digests
                left -= cost
        return doomed

    def _unneeded(self, stored: Mapping[str, Stored], live: Collection[str]) -> dict[str, Stored]:
        """Artifacts that nothing names, and since when that is known."""
        remembered = set(chain.from_iterable(memo.digests for memo in self._memos.values()))
        unneeded = {name: artifact for name, artifact in stored.items() if name not in live and name not in remembered}
        now = self._clock()
        self._unneeded_since = {name: self._unneeded_since.get(name, now) for name in unneeded}
        return unneeded

    async def _remove(self, unneeded: Mapping[str, Stored]) -> list[Stored]:
        latest = self._clock() - self._policy.grace
        due = [
            artifact
            for name, artifact in unneeded.items()
            if self._unneeded_since[name] <= latest and artifact.modified <= latest
        ]
        if not due or self._policy.dry_run:
            return due
        live = await self._live()
        return [artifact for artifact in due if artifact.name not in live and await self._delete(artifact)]

    async def _delete(self, artifact: Stored) -> bool:
        deleted = await self._artifacts.delete(artifact.name, older_than=self._policy.grace)
        if deleted:
            log.info("artifact %s of %d bytes was not needed any more", artifact.name, artifact.size)
        return deleted
