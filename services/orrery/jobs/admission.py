"""Which submissions a `Ledger` takes: bounds and idempotency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from orrery.jobs.answers import conflict
from orrery.jobs.records import Submission, TaskState
from orrery.jobs.rows import JobRow, TaskRow
from orrery.jobs.rules import Rules

NOT_STARTED = {TaskState.WAITING, TaskState.QUEUED}


class Keys:
    """What idempotency keys stand for, each tenant's own."""

    def __init__(self, rules: Rules, clock: Callable[[], float]):
        self._remembered = rules.remembered
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[str, str, float]] = {}

    def job_of(self, submission: Submission, jobs: Mapping[str, JobRow]) -> str | None:
        """The job that is there for this key and body. Raises `IdempotencyConflict`."""
        given = submission.idempotency
        known = self._known.get((submission.tenant, given.key)) if given else None
        if given is None or known is None or known[2] <= self._clock():
            return None
        body, job_id, _ = known
        if body != given.body_digest or job_id not in jobs:
            raise conflict(job_id)
        return job_id

    def remember(self, submission: Submission) -> None:
        given = submission.idempotency
        if given:
            until = self._clock() + self._remembered
            self._known[submission.tenant, given.key] = given.body_digest, submission.job_id, until


class Room:
    """Counts the tasks that were not started, by pool and by tenant."""

    def __init__(self, rules: Rules):
        self._rules = rules
        self._pools: Counter[str] = Counter()
        self._tenants: Counter[str] = Counter()

    def count(self, row: TaskRow, by: int) -> None:
        self._pools[row.task.pool] += by
        self._tenants[row.tenant] += by

    def excess(self, submission: Submission) -> tuple[str, int]:
        """The fullest pool of the plan, and by how many tasks the submission goes beyond a bound, if above 0."""
        more = Counter(task.pool for task in submission.plan.tasks)
        beyond = [self._pools[pool] + n - self._rules.max_waiting_per_pool for pool, n in more.items()]
        beyond.append(self._tenants[submission.tenant] + more.total() - self._rules.max_waiting_per_tenant)
        return max(more, key=self._pools.__getitem__), max(beyond)
