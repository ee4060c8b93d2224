"""The store against real databases: what is kept, kept once, and read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ajrd.errors import StoreUnavailable
from ajrd.model import ActionState, DecisionState, Progress, ReadPosition, Step, Verb
from ajrd.recovery.sequence import STEPS
from ajrd.recovery.tracking import new_job
from ajrd.store.address import Address
from ajrd.store.history import read_history
from ajrd.store.read import Reader
from ajrd.store.records import Failure
from ajrd.store.store import Store
from tests.database.samples import POSITION, a_decision, a_job
from tests.unit.samples import anomaly, at, job


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
    store: Store, address: Address
) -> None:
    record, attempt = await a_job(store)
    await store.record_evidence(attempt, [anomaly()], POSITION, None, at(1))
    reader = Reader(address)
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


async def test_what_was_kept_before_its_answer_got_lost_is_found_again(store: Store) -> None:
    record, attempt = await a_job(store)
    assert await store.add_job(replace(record, id=0), "seen") == record
    assert await store.save_attempt(replace(attempt, id=0), at(1), "attempt_started") == attempt


async def test_each_attempt_tells_its_cause_and_how_far_it_got(store: Store) -> None:
    record, first = await a_job(store)
    steps = [Progress(10, 1, "step 40", 40), Progress(20, 2, "step 30", 30), Progress(30, 3, "on")]
    for progress in steps:
        await store.record_evidence(first, [], POSITION, progress, at(1))
    decision = replace(a_decision(first), cause="segfault")
    await store.write_decision(decision, record, first, ())
    await store.save_attempt(replace(first, id=0, idx=1), at(2), "attempt_started")
    assert await store.failures(record.id) == [
        Failure(idx=0, cause="segfault", progress_step=40, progressed=True, excluded=False),
        Failure(idx=1, cause="", progress_step=None, progressed=False, excluded=False),
    ]


async def test_jobs_are_listed_by_user_and_partition_and_arrays_by_task(
    store: Store, address: Address
) -> None:
    for name, user in (("7_1", "ada"), ("7_2", "Ada"), ("71_3", "ada"), ("7", "bob")):
        seen = job(job_id=name, user=user)
        await store.add_job(new_job(seen, "c", managed=True, note="", now=at(0)), "seen")
    reader = Reader(address)
    assert [each.job_id for each in reader.recent_jobs(9, "ada", "main")] == ["71_3", "7_1"]
    assert [each.job_id for each in reader.recent_jobs(2, None, None)] == ["7", "71_3"]
    assert [each.job_id for each in reader.array_tasks("7")] == ["7_1", "7_2"]
    reader.close()
