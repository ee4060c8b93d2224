"""Jobs that waited for another one to end, and were let go by it.

Slurm judges the jobs that depend on one (``sbatch(1)``, --dependency) within a scheduling pass of
its end, and never takes that back: requeued after that, it finds ``afterany`` and ``afternotok``
jobs running that are to go on in its place, as in a chain of jobs that resume from one checkpoint.
Then it must stay as it is. A job that is requeued while it runs keeps all of them waiting; those
that wait for its success (``afterok``) are no reason either, for nothing else does its work.

A dependency is gone from what Slurm shows once it is fulfilled, so listings are remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ajrd.model import JobInfo, JobState

_FAILURE_WILL_DO = re.compile(r"\b(?:afterany|afternotok):(\d+(?:_(?:\d+|\*))?)")


class Dependents:
    """Who waits for whom, as the listings have shown it. Neither reads nor writes anything."""

    def __init__(self) -> None:
        self._awaited: dict[str, frozenset[str]] = {}
        self._waiting: frozenset[tuple[str, str]] = frozenset()

    def look(self, listing: Iterable[JobInfo]) -> None:
        """Takes a listing of all jobs; what it does not show is forgotten."""
        before, self._awaited = self._awaited, {}
        waiting = set()
        for job in listing:
            now = awaited(job.dependency) if job.state is JobState.PENDING else frozenset()
            known = now | before.get(job.job_id, frozenset())
            if known and not _never_started(job):
                self._awaited[job.job_id] = known
            waiting |= {(job.job_id, other) for other in now}
        self._waiting = frozenset(waiting)

    def let_go(self, ended: JobInfo) -> str | None:
        """A job that waited for ``ended`` to end and does so no longer."""
        names = {ended.job_id, f"{ended.array_job_id}_*"}
        return next(
            (
                job_id
                for job_id, others in self._awaited.items()
                if any((job_id, name) not in self._waiting for name in others & names)
            ),
            None,
        )


def awaited(dependency: str) -> frozenset[str]:
    """The jobs, tasks and arrays (``7_*``) whose failure is enough for a job to start."""
    return frozenset(_FAILURE_WILL_DO.findall(dependency))


def _never_started(job: JobInfo) -> bool:
    return job.state is JobState.CANCELLED and job.start_time is None
