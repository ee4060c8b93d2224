"""Which view of Slurm belongs to which submission, and what an attempt becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ajrd.model import JobInfo, JobState
from ajrd.recovery.tracking import REQUEUED, advanced, has_started, new_job, opened, same_submission
from tests.unit.samples import at, job

KNOWN = new_job(job(), "c", managed=True, note="", now=at(0))
WAITING = replace(KNOWN, restarts=1, submit_time=at(10), state="PENDING")


@pytest.mark.parametrize(
    "seen",
    [
        job(name="renamed"),
        job(restarts=1, submit_time=at(10)),
        job(restarts=1),
        job(restarts=4, submit_time=at(500)),
    ],
)
def test_a_requeued_or_renamed_job_is_the_same_submission(seen: JobInfo) -> None:
    assert same_submission(KNOWN, seen)


@pytest.mark.parametrize(
    "seen",
    [
        job(submit_time=at(10)),
        job(submit_time=at(-10)),
        job(uid=1001),
        job(raw_id=8),
        job(restarts=1, submit_time=at(-10)),
    ],
)
def test_a_reused_id_is_another_submission(seen: JobInfo) -> None:
    assert not same_submission(KNOWN, seen)


def test_the_second_stamp_of_a_requeue_is_no_new_submission() -> None:
    assert same_submission(WAITING, job(restarts=1, submit_time=at(11)))


def test_a_running_attempt_keeps_its_submit_time() -> None:
    running = replace(WAITING, state="RUNNING")
    assert not same_submission(running, job(restarts=1, submit_time=at(11)))


def test_fewer_restarts_are_another_submission() -> None:
    assert not same_submission(WAITING, job(restarts=0, submit_time=at(11)))
    assert not same_submission(WAITING, job(restarts=0, submit_time=at(10)))


def test_a_slurmctld_that_forgot_its_last_seconds_shows_the_same_submission() -> None:
    later = replace(WAITING, submit_time=at(11))
    assert same_submission(later, job(restarts=1, submit_time=at(10)))
    assert same_submission(later, job(restarts=0, submit_time=at(0)))
    assert not same_submission(later, job(restarts=2, submit_time=at(10)))


def test_an_attempt_that_slurmctld_has_forgotten_stays_as_it_was() -> None:
    attempt = opened(KNOWN, job(restarts=1), at(20))
    assert advanced(attempt, job(restarts=0), at(21)) is attempt
    assert advanced(attempt, job(restarts=0, state=JobState.FAILED), at(21)) is attempt


def test_restarts_before_the_first_look_count_as_used() -> None:
    assert new_job(job(restarts=2), "c", managed=True, note="", now=at(0)).restarts_before == 2


def test_a_job_cancelled_while_it_waits_has_never_started() -> None:
    assert not has_started(job(state=JobState.CANCELLED, start_time=None, nodes=""))
    assert not has_started(job(state=JobState.PENDING))
    assert has_started(job(state=JobState.FAILED))


def test_a_restart_ends_the_attempt_before_it() -> None:
    attempt = opened(KNOWN, job(), at(0))
    after = advanced(attempt, job(restarts=1, state=JobState.PENDING), at(9))
    assert (after.state, after.ended_at) == (REQUEUED, at(9))


def test_an_attempt_ends_when_its_processes_are_gone() -> None:
    attempt = opened(KNOWN, job(), at(0))
    dying = job(state=JobState.FAILED, completing=True, exit_code=1, end_time=at(5))
    assert advanced(attempt, dying, at(6)).ended_at is None
    gone = advanced(attempt, replace(dying, completing=False), at(7))
    assert (gone.state, gone.ended_at, gone.exit_code) == ("FAILED", at(5), 1)


def test_an_ended_attempt_stays_as_it_is() -> None:
    attempt = replace(opened(KNOWN, job(), at(0)), ended_at=at(5), state="FAILED")
    assert advanced(attempt, job(restarts=1), at(9)) is attempt
