"""A job in the store, and what is written of it."""

from __future__ import annotations

from ajrd.model import DecisionState, ReadPosition, Verb
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.records import AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.store import Store
from tests.unit.samples import at, job

POSITION = ReadPosition("/w/a.log", 1, 2, 400, 10, "ab")


async def a_job(store: Store, job_id: str = "7") -> tuple[JobRecord, AttemptRecord]:
    """A job and its first attempt, kept."""
    seen = job(job_id=job_id)
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=at(0)), "seen")
    attempt = await store.save_attempt(opened(record, seen, at(0)), at(0), "attempt_started")
    return record, attempt


def a_decision(attempt: AttemptRecord, verb: Verb = Verb.REQUEUE) -> DecisionRecord:
    """An open decision, not kept yet."""
    return DecisionRecord(
        id=0,
        attempt=attempt.id,
        anomaly=None,
        verb=verb,
        branch="requeue",
        reason="CRASH segfault: requeue 1 of 1",
        exclude_nodes="",
        state=DecisionState.OPEN,
        outcome="",
        detail="",
        hold_deadline=at(120),
        created_at=at(3),
        closed_at=None,
    )
