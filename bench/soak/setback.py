"""Which jobs a killed slurmctld has forgotten something of.

It saves the state of jobs some seconds after it has changed. Killed before that, it starts anew
with what it had saved: a job runs again that has ended long ago, a requeue has never happened, a
job was never submitted. What becomes of such a job is Slurm's own doing.
"""

from __future__ import annotations

from collections.abc import Iterable

from ajrd.model import HoldBy, JobInfo, JobState


def set_back(before: Iterable[JobInfo], after: Iterable[JobInfo]) -> set[str]:
    """The jobs that are gone or not as far as they were."""
    now = {job.job_id: _how_far(job) for job in after}
    nowhere = (-1, -1)
    return {job.job_id for job in before if now.get(job.job_id, nowhere) < _how_far(job)}


def _how_far(job: JobInfo) -> tuple[int, int]:
    if job.state is JobState.PENDING:
        return job.restarts, int(job.held is HoldBy.NOBODY)
    return job.restarts, 3 if job.state.ended else 2
