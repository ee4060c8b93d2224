"""The transition table of a decision, view by view."""

from __future__ import annotations

from typing import Any

import pytest

from ajrd.model import DecisionState, HoldBy, JobInfo, JobState, Step, Verb
from ajrd.recovery.sequence import Do, End, Move, Outcome, Situation, Wait, next_move
from tests.unit.samples import at, job


def move(verb: Verb, seen: JobInfo | None, **changes: Any) -> Move:
    values: dict[str, Any] = {
        "verb": verb,
        "attempt": 0,
        "job": seen,
        "settled": frozenset(),
        "begun": frozenset(),
        "now": at(10),
        "hold_deadline": at(120),
    }
    return next_move(Situation(**values | changes))


ANNOUNCED = {"settled": frozenset({Step.ANNOUNCE})}
KILLED = {
    "settled": frozenset({Step.ANNOUNCE, Step.REQUEUE_HOLD}),
    "begun": frozenset({Step.ANNOUNCE, Step.REQUEUE_HOLD}),
}
UPDATED = KILLED | {"settled": frozenset({Step.ANNOUNCE, Step.REQUEUE_HOLD, Step.UPDATE})}
HELD = job(restarts=1, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD)
WAITING = job(restarts=1, state=JobState.PENDING)


def abandoned(outcome: Outcome) -> End:
    return End(DecisionState.ABANDONED, outcome)


def converged(outcome: Outcome) -> End:
    return End(DecisionState.CONVERGED, outcome)


@pytest.mark.parametrize(
    ("seen", "history", "expected"),
    [
        (job(), {}, Do(Step.ANNOUNCE)),
        (job(), ANNOUNCED, Do(Step.REQUEUE_HOLD)),
        (job(state=JobState.FAILED), ANNOUNCED, Do(Step.REQUEUE_HOLD)),
        (HELD, KILLED, Do(Step.UPDATE)),
        (HELD, UPDATED, Do(Step.RELEASE)),
        (job(restarts=1), UPDATED, converged(Outcome.SUCCESSOR_STARTED)),
        (job(restarts=1, state=JobState.FAILED), UPDATED, converged(Outcome.SUCCESSOR_STARTED)),
        (job(restarts=2), KILLED, converged(Outcome.SUCCESSOR_STARTED)),
        (WAITING, {}, converged(Outcome.REQUEUED_BY_OTHERS)),
        (job(restarts=1), ANNOUNCED, converged(Outcome.REQUEUED_BY_OTHERS)),
        (job(restarts=2), ANNOUNCED, converged(Outcome.REQUEUED_BY_OTHERS)),
        (HELD, {}, abandoned(Outcome.HELD_BY_OTHERS)),
        (job(state=JobState.CANCELLED), {}, abandoned(Outcome.CANCELLED_BY_OTHERS)),
        (job(state=JobState.COMPLETED), {}, abandoned(Outcome.ENDED_WELL)),
        (None, {}, abandoned(Outcome.JOB_UNKNOWN)),
        (job(restarts=1, state=JobState.CANCELLED), KILLED, abandoned(Outcome.CANCELLED_BY_OTHERS)),
    ],
)
def test_requeue(seen: JobInfo | None, history: dict[str, Any], expected: Move) -> None:
    assert move(Verb.REQUEUE, seen, **history) == expected


def test_a_job_that_is_being_killed_is_waited_for() -> None:
    assert isinstance(move(Verb.REQUEUE, job(completing=True), **KILLED), Wait)
    assert isinstance(move(Verb.REQUEUE, WAITING, **UPDATED), Wait)


@pytest.mark.parametrize("holder", [HoldBy.USER, HoldBy.ADMIN])
def test_a_hold_by_people_is_respected_in_the_middle_of_a_recovery(holder: HoldBy) -> None:
    seen = job(restarts=1, state=JobState.PENDING, held=holder)
    assert move(Verb.REQUEUE, seen, **UPDATED) == abandoned(Outcome.HELD_BY_OTHERS)


def test_a_hold_past_its_deadline_is_released_after_one_try_of_its_update() -> None:
    assert move(Verb.REQUEUE, HELD, **KILLED, now=at(121)) == Do(Step.UPDATE)
    tried = KILLED | {"begun": frozenset({*KILLED["begun"], Step.UPDATE})}
    assert move(Verb.REQUEUE, HELD, **tried, now=at(121)) == Do(Step.RELEASE)


def test_a_successor_that_is_put_off_stays_held_until_then() -> None:
    held = job(restarts=1, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD, submit_time=at(0))
    waiting = move(Verb.REQUEUE, held, **UPDATED, now=at(2), start_delay=15.0)
    assert isinstance(waiting, Wait)
    assert waiting.until == at(16)
    due = move(Verb.REQUEUE, held, **UPDATED, now=at(16), start_delay=15.0)
    assert due == Do(Step.RELEASE)


def test_a_hold_has_its_mark_before_anything_is_waited_for() -> None:
    held = job(restarts=1, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD, submit_time=at(0))
    assert move(Verb.REQUEUE, held, **KILLED, now=at(0), start_delay=15.0) == Do(Step.UPDATE)


def test_the_successor_may_not_start_in_the_second_of_the_kill() -> None:
    held = job(restarts=1, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD, submit_time=at(0))
    waiting = move(Verb.REQUEUE, held, **UPDATED, now=at(0.4))
    assert isinstance(waiting, Wait)
    assert waiting.until == at(1)
    assert move(Verb.REQUEUE, held, **UPDATED, now=at(1)) == Do(Step.RELEASE)


def test_a_controller_whose_clock_is_ahead_is_waited_for_by_our_own() -> None:
    held = job(restarts=1, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD, submit_time=at(60))
    early = move(Verb.REQUEUE, held, **UPDATED, now=at(0.4), updated_at=at(0.2))
    assert isinstance(early, Wait)
    assert early.until == at(1.2)
    assert move(Verb.REQUEUE, held, **UPDATED, now=at(1.2), updated_at=at(0.2)) == Do(Step.RELEASE)


def test_another_job_with_the_id_is_never_touched() -> None:
    for verb in (Verb.REQUEUE, Verb.STOP, Verb.CHAIN):
        assert move(verb, job(), attempt=1) == abandoned(Outcome.JOB_UNKNOWN)


def test_stop_announces_and_cancels_what_runs() -> None:
    assert move(Verb.STOP, job()) == Do(Step.ANNOUNCE)
    assert move(Verb.STOP, job(), **ANNOUNCED) == Do(Step.CANCEL)
    ended = job(state=JobState.CANCELLED)
    assert move(Verb.STOP, ended, **ANNOUNCED) == converged(Outcome.STOPPED)


def test_stop_leaves_a_job_that_somebody_requeued_alone() -> None:
    seen = job(restarts=1)
    assert move(Verb.STOP, seen, **ANNOUNCED) == abandoned(Outcome.REQUEUED_BY_OTHERS)


def test_the_next_job_of_a_chain_is_released_only_if_its_user_holds_it() -> None:
    ended = job(state=JobState.CANCELLED)
    held = job(job_id="8", raw_id=8, state=JobState.PENDING, held=HoldBy.USER)
    by_admin = job(job_id="8", raw_id=8, state=JobState.PENDING, held=HoldBy.ADMIN)
    waiting = job(job_id="8", raw_id=8, state=JobState.PENDING)
    assert move(Verb.CHAIN, ended, **ANNOUNCED, next_job=held) == Do(Step.RELEASE_NEXT)
    assert isinstance(move(Verb.CHAIN, ended, **ANNOUNCED, next_job=waiting), Wait)
    started = move(Verb.CHAIN, ended, **ANNOUNCED, next_job=job(job_id="8", raw_id=8))
    assert started == converged(Outcome.CHAIN_CONTINUES)
    alone = move(Verb.CHAIN, ended, **ANNOUNCED)
    assert alone == converged(Outcome.CHAIN_ENDS)
    refused = move(Verb.CHAIN, ended, **ANNOUNCED, next_job=by_admin)
    assert refused == abandoned(Outcome.HELD_BY_OTHERS)


@pytest.mark.parametrize("verb", [Verb.REQUEUE, Verb.STOP, Verb.CHAIN])
def test_a_suspended_attempt_is_not_killed(verb: Verb) -> None:
    assert isinstance(move(verb, job(state=JobState.SUSPENDED), **ANNOUNCED), Wait)


def test_a_wait_for_resources_tells_what_slurm_waits_for() -> None:
    seen = job(restarts=1, state=JobState.PENDING, reason="PartitionDown")
    assert move(Verb.REQUEUE, seen, **UPDATED) == Wait("for Slurm to start it: PartitionDown")


#: A kill that may have run, whatever Slurm shows so far.
BEGUN = {"settled": frozenset({Step.ANNOUNCE}), "begun": KILLED["begun"]}
GIVEN_UP = abandoned(Outcome.ABANDONED_BY_REQUEST)


@pytest.mark.parametrize(
    ("verb", "seen", "history", "expected"),
    [
        (Verb.REQUEUE, job(), ANNOUNCED, GIVEN_UP),
        (Verb.REQUEUE, job(state=JobState.SUSPENDED), ANNOUNCED, GIVEN_UP),
        (Verb.REQUEUE, job(), BEGUN, Do(Step.REQUEUE_HOLD)),
        (Verb.REQUEUE, HELD, KILLED, Do(Step.UPDATE)),
        (Verb.REQUEUE, HELD, UPDATED, Do(Step.RELEASE)),
        (Verb.REQUEUE, WAITING, UPDATED, GIVEN_UP),
        (Verb.REQUEUE, job(restarts=1), UPDATED, converged(Outcome.SUCCESSOR_STARTED)),
        (Verb.REQUEUE, job(state=JobState.CANCELLED), {}, abandoned(Outcome.CANCELLED_BY_OTHERS)),
        (Verb.STOP, job(), ANNOUNCED, GIVEN_UP),
        (Verb.STOP, job(state=JobState.CANCELLED), ANNOUNCED, converged(Outcome.STOPPED)),
        (Verb.CHAIN, job(state=JobState.SUSPENDED), ANNOUNCED, GIVEN_UP),
    ],
)
def test_what_is_given_up_leaves_nobody_held(
    verb: Verb, seen: JobInfo, history: dict[str, Any], expected: Move
) -> None:
    assert move(verb, seen, **history, abandoning=True, start_delay=60.0) == expected
