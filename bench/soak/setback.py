"""What Slurm does to jobs of its own accord: it forgets something of them, or requeues them.

A slurmctld saves the state of jobs some seconds after it has changed. Killed before that, it starts
anew with what it had saved: a job runs again that has ended long ago, a requeue has never happened,
a job was never submitted. And it requeues jobs whose node has died, or does not know them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ajrd.model import HoldBy, JobInfo, JobState

#: As ``kill_running_job_by_node_name`` and ``_purge_missing_jobs`` of ``job_mgr.c`` log it, with
#: times that are local.
_REQUEUES = re.compile(
    r"^\[(\S+)\] (?:requeue job JobId=(\d+) due to failure of node"
    r"|Batch JobId=(\d+) missing from batch node .*, Requeuing job$)",
    re.MULTILINE,
)


def requeued_by_slurm(log: str) -> Mapping[str, Sequence[float]]:
    """When slurmctld, by its own log, has requeued which job: seconds since the epoch."""
    times: dict[str, list[float]] = defaultdict(list)
    for when, failed, lost in _REQUEUES.findall(log):
        times[failed or lost].append(datetime.fromisoformat(when).timestamp())
    return times


def set_back(before: Iterable[JobInfo], after: Iterable[JobInfo]) -> set[str]:
    """The jobs that are gone or not as far as they were."""
    now = {job.job_id: _how_far(job) for job in after}
    nowhere = (-1, -1)
    return {job.job_id for job in before if now.get(job.job_id, nowhere) < _how_far(job)}


def _how_far(job: JobInfo) -> tuple[int, int]:
    if job.state is JobState.PENDING:
        return job.restarts, int(job.held is HoldBy.NOBODY)
    return job.restarts, 3 if job.state.ended else 2
