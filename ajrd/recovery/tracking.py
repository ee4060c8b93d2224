"""From what Slurm shows to submissions and attempts. Pure.

A job id is not an identity: Slurm reuses ids. A view belongs to a known submission when the
user agrees and its restart counter and submit time did not go backwards. A requeue moves the
submit time forward twice: together with the counter, and again when the processes of the old
attempt are gone, up to when the job starts anew (seen on 22.05). The name is no part of it:
owners may change it.

Both do go backwards together when slurmctld dies: it writes its state up to five seconds late
(SAVE_MAX_WAIT in ``state_save.c``) and goes on from there. Ids are reused forward in time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ClusterShell.NodeSet import NodeSet, NodeSetException

from ajrd.model import JobInfo, JobState
from ajrd.policy.fruitless import Past
from ajrd.store.records import AttemptRecord, Failure, JobRecord

#: What an attempt is called in the history when a restart ended it.
REQUEUED = "REQUEUED"


def same_submission(known: JobRecord, seen: JobInfo) -> bool:
    """Is this view of the job that we know, or of another one with its id?"""
    if (known.uid, known.raw_id) != (seen.uid, seen.raw_id):
        return False
    if seen.submit_time == known.submit_time:
        return seen.restarts >= known.restarts
    if known.first_submit_time <= seen.submit_time < known.submit_time:
        return seen.restarts <= known.restarts
    requeued = seen.restarts > known.restarts or (known.restarts > 0 and _unsettled(known))
    return requeued and seen.restarts >= known.restarts and seen.submit_time > known.submit_time


def _unsettled(known: JobRecord) -> bool:
    """Was the job last seen between two attempts?"""
    return known.state == JobState.PENDING.value


def new_job(seen: JobInfo, cluster: str, *, managed: bool, note: str, now: datetime) -> JobRecord:
    """A submission seen for the first time. Restarts before that count as used budget."""
    return JobRecord(
        id=0,
        cluster=cluster,
        job_id=seen.job_id,
        raw_id=seen.raw_id,
        first_submit_time=seen.submit_time,
        submit_time=seen.submit_time,
        name=seen.name,
        user=seen.user,
        uid=seen.uid,
        partition=seen.partition,
        comment=seen.comment,
        managed=managed,
        note=note,
        restarts=seen.restarts,
        restarts_before=seen.restarts,
        state=seen.state.value,
        reason=seen.reason,
        closed=False,
        seen_at=now,
    )


def updated_job(
    known: JobRecord, seen: JobInfo, *, managed: bool, note: str, now: datetime
) -> JobRecord:
    """The submission as it now stands; equal to ``known`` but for ``seen_at`` if nothing new."""
    return replace(
        known,
        submit_time=seen.submit_time,
        partition=seen.partition,
        comment=seen.comment,
        managed=managed,
        note=note,
        restarts=seen.restarts,
        state=seen.state.value,
        reason=seen.reason,
        seen_at=now,
    )


def has_started(seen: JobInfo) -> bool:
    """Did the attempt ``seen.restarts`` begin to run? A job may end without ever starting."""
    if seen.state is JobState.PENDING:
        return False
    return seen.start_time is not None and bool(seen.nodes)


def opened(job: JobRecord, seen: JobInfo, now: datetime, number: int = 0) -> AttemptRecord:
    """The attempt that Slurm has started; ``number`` is its row until the store gives it one."""
    return AttemptRecord(
        id=number,
        job=job.id,
        idx=seen.restarts,
        state=seen.state.value,
        nodes=seen.nodes,
        started_at=seen.start_time or now,
        eligible_at=seen.eligible_time,
        node_count=_count(seen.nodes),
        cpus=seen.cpus,
        gpus=seen.gpus,
    )


def _count(nodes: str) -> int:
    try:
        return len(NodeSet(nodes))
    except NodeSetException:
        return 0


def advanced(attempt: AttemptRecord, seen: JobInfo, now: datetime) -> AttemptRecord:
    """The attempt as Slurm shows it now; equal to ``attempt`` if nothing has changed."""
    if attempt.ended_at is not None:
        return attempt
    if seen.restarts > attempt.idx:
        return replace(attempt, state=REQUEUED, ended_at=now)
    if seen.restarts < attempt.idx or seen.state is JobState.PENDING:
        return attempt
    if seen.state.ended and not seen.completing:
        return replace(
            attempt,
            state=seen.state.value,
            ended_at=seen.end_time or now,
            exit_code=seen.exit_code,
            signal=seen.signal,
        )
    return replace(attempt, state=seen.state.value, nodes=seen.nodes or attempt.nodes)


def past(
    attempts: Sequence[AttemptRecord], failures: Sequence[Failure], now: datetime
) -> list[Past]:
    """The attempts of a job in retrospect, in their order."""
    known = {failure.idx: failure for failure in failures}
    return [_past(attempt, known.get(attempt.idx), now) for attempt in attempts]


def _past(attempt: AttemptRecord, failure: Failure | None, now: datetime) -> Past:
    seconds = ((attempt.ended_at or now) - attempt.started_at).total_seconds()
    if failure is None:
        return Past("", None, False, seconds)
    return Past(failure.cause, failure.progress_step, failure.progressed, seconds, failure.excluded)
