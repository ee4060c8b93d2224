"""The store against a real SQLite file: what is kept, kept once, and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ajrd.errors import StoreUnavailable
from ajrd.model import ActionState, DecisionState, Progress, ReadPosition, Step, Verb
from ajrd.recovery.sequence import STEPS
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.history import read_history
from ajrd.store.read import Reader
from ajrd.store.records import AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.store import Store
from tests.unit.samples import anomaly, at, job

POSITION = ReadPosition("/w/a.log", 1, 2, 400, 10, "ab")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/ajrd.sqlite"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url, at(0))
    yield store
    await store.close()


async def a_job(store: Store) -> tuple[JobRecord, AttemptRecord]:
    record = await store.add_job(new_job(job(), "c", managed=True, note="", now=at(0)), "seen")
    attempt = await store.save_attempt(opened(record, job(), at(0)), at(0), "attempt_started")
    return record, attempt


def a_decision(attempt: AttemptRecord, verb: Verb = Verb.REQUEUE) -> DecisionRecord:
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


async def test_a_line_offered_twice_is_kept_once(store: Store) -> None:
    _, attempt = await a_job(store)
    first = await store.record_evidence(attempt, [anomaly()], POSITION, None, at(1))
    again = await store.record_evidence(attempt, [anomaly(5)], POSITION, None, at(2))
    assert (len(first), len(again)) == (1, 0)
    assert [r.anomaly for r in await store.anomalies(attempt.id)] == [anomaly()]


async def test_an_anomaly_and_the_position_behind_it_come_together_or_not_at_all(
    store: Store,
) -> None:
    _, attempt = await a_job(store)
    broken = ReadPosition("/w/a.log", 1, 2, 400, 10, tail=None)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await store.record_evidence(attempt, [anomaly()], broken, None, at(1))
    assert await store.anomalies(attempt.id) == []
    assert await store.positions(attempt.id) == []


async def test_a_position_moves_and_keeps_the_newest_progress(store: Store) -> None:
    _, attempt = await a_job(store)
    await store.record_evidence(attempt, [], POSITION, Progress(300, 9, "step 9"), at(1))
    further = ReadPosition("/w/a.log", 1, 2, 500, 12, "cd")
    await store.record_evidence(attempt, [], further, None, at(2))
    assert await store.positions(attempt.id) == [further]
    assert await store.positions_at("/w/a.log") == [(attempt.id, further)]
    source = (await store.sources(attempt.id))[0]
    assert (source.progress_offset, source.progress_at) == (300, at(1))


async def test_an_attempt_gets_one_decision_only(store: Store) -> None:
    record, attempt = await a_job(store)
    steps = STEPS[Verb.REQUEUE]
    first = await store.write_decision(a_decision(attempt), record, attempt, steps)
    second = await store.write_decision(a_decision(attempt, Verb.STOP), record, attempt, ())
    assert first is not None
    assert second is None
    assert [a.step for a in first.actions] == list(steps)
    assert (await store.open_decisions()) == [first]


async def test_a_requeue_counts_from_its_claim_whatever_became_of_it(store: Store) -> None:
    record, attempt = await a_job(store)
    await store.write_decision(a_decision(attempt), record, attempt, STEPS[Verb.REQUEUE])
    assert await store.requeues_begun(record.id) == 0
    decision = await store.decision(attempt.id)
    assert decision is not None
    action = next(a for a in decision.actions if a.step is Step.REQUEUE_HOLD)
    await store.claim(action, at(4), "7")
    assert await store.requeues_begun(record.id) == 1
    await store.finish(action, attempt, ActionState.FAILED, "refused", at(5))
    assert await store.requeues_begun(record.id) == 0


async def test_a_closed_decision_skips_what_was_not_needed(store: Store) -> None:
    record, attempt = await a_job(store)
    decision = await store.write_decision(a_decision(attempt), record, attempt, STEPS[Verb.REQUEUE])
    assert decision is not None
    await store.close_decision(
        decision, attempt, DecisionState.ABANDONED, "cancelled_by_others", "", at(6)
    )
    closed = await store.decision(attempt.id)
    assert closed is not None
    assert closed.state is DecisionState.ABANDONED
    assert {a.state for a in closed.actions} == {ActionState.SKIPPED}
    assert await store.open_decisions() == []


async def test_a_reader_sees_the_whole_history_while_the_service_writes(
    store: Store, url: str
) -> None:
    record, attempt = await a_job(store)
    await store.record_evidence(attempt, [anomaly()], POSITION, None, at(1))
    reader = Reader(url.replace("+aiosqlite", ""))
    found = reader.job("7")
    assert found == record
    history = read_history(reader, found)
    assert history.attempts[0].attempt == attempt
    assert history.attempts[0].anomalies[0].anomaly == anomaly()
    assert [event.event for event in history.events] == ["job_seen", "attempt_started", "anomaly"]
    reader.close()


def test_a_missing_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="has the service"):
        Reader(f"sqlite:///{tmp_path}/none.sqlite")
