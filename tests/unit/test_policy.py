"""Eligibility, ripeness of evidence, and the decision table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.model import HoldBy, JobInfo, JobState, Recovery, ResumeMode, Role, Verb
from ajrd.policy.decide import Case, decide
from ajrd.policy.eligibility import Site, refusal, standing
from ajrd.policy.evidence import Pulse, weigh
from ajrd.policy.fruitless import Past
from ajrd.slurm.admin_comment import Mark, read_mark, with_mark
from tests.unit.samples import anomaly, at, directive, job, verdict

ACT = Site(act=True)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (job(partition="debug"), "partition debug is not among"),
        (job(requeue=False), "requeue is disabled"),
        (job(batch=False), "not a batch job"),
        (job(raw_id=(2 << 26) + 7), "from its cluster 2"),
        (job(job_id="6+1", het_job_id=6), "a component of het job 6"),
        (job(state=JobState.CANCELLED), "cancelled by its user"),
        (job(state=JobState.PENDING, held=HoldBy.USER), "held by its user"),
        (job(state=JobState.PENDING, held=HoldBy.ADMIN), "held by an administrator"),
    ],
)
def test_a_job_that_must_not_be_touched_is_refused_with_the_reason(
    seen: JobInfo, reason: str
) -> None:
    site = Site(partitions=frozenset({"main"}), act=True)
    assert reason in (refusal(seen, directive(), site) or "")
    plan = decide(Case(seen, directive(), verdict(), 0, site))
    assert plan.verb is Verb.LEAVE
    assert reason in plan.reason


def test_the_largest_id_of_a_single_cluster_is_no_federation() -> None:
    assert refusal(job(raw_id=(1 << 26) - 1), directive(), ACT) is None


def test_a_chain_needs_no_requeue() -> None:
    singleton = directive(mode=ResumeMode.SINGLETON)
    assert refusal(job(requeue=False), singleton, ACT) is None


def test_a_chain_goes_on_from_a_cancellation_that_ajrd_had_announced() -> None:
    """It was killed in the middle, and nothing of it was written down."""
    singleton, cancelled = directive(mode=ResumeMode.SINGLETON), job(state=JobState.CANCELLED)
    case = Case(cancelled, singleton, verdict(), 0, ACT, announced=True)
    assert decide(case).verb is Verb.CHAIN
    assert decide(replace(case, announced=False)).verb is Verb.LEAVE
    assert decide(replace(case, directive=directive())).verb is Verb.LEAVE


def test_status_tells_before_anything_went_wrong_that_a_job_would_be_left_alone() -> None:
    assert "requeue is disabled" in standing(job(requeue=False), directive(), ACT)
    assert "observe mode" in standing(job(), directive(), Site())
    assert standing(job(), directive(), ACT) == ""


def test_a_crash_within_the_budget_is_requeued() -> None:
    assert decide(Case(job(), directive(), verdict(), 0, ACT)).verb is Verb.REQUEUE


def test_a_spent_budget_stops_the_attempt() -> None:
    plan = decide(Case(job(), directive(), verdict(), 1, ACT))
    assert (plan.verb, plan.branch) == (Verb.STOP, "budget_spent")


def test_a_pointless_retry_is_stopped_with_budget_left() -> None:
    plan = decide(Case(job(), directive(), verdict(recovery=Recovery.STOP), 0, ACT))
    assert (plan.verb, plan.branch) == (Verb.STOP, "pointless")


def test_resume_on_can_refuse_what_would_be_retried() -> None:
    wish = directive(resume_on=frozenset({"-segfault"}))
    plan = decide(Case(job(), wish, verdict(), 0, ACT))
    assert (plan.verb, plan.branch) == (Verb.STOP, "pointless")
    assert "resume_on -segfault" in plan.reason


def test_the_same_cause_without_progress_stops_before_the_budget_is_spent() -> None:
    again = (Past("segfault", None, False, 30.0), Past("", None, False, 30.0))
    case = Case(job(), directive(max_requeue_times=9), verdict(), 1, ACT, again, 2)
    plan = decide(case)
    assert (plan.verb, plan.branch) == (Verb.STOP, "no_progress")
    assert "2 attempts in a row failed by it without getting further" in plan.reason
    assert decide(replace(case, no_progress_limit=3)).verb is Verb.REQUEUE
    assert decide(replace(case, no_progress_limit=0)).verb is Verb.REQUEUE


def test_a_successor_of_attempts_that_fail_at_once_is_put_off_and_told_so() -> None:
    quick = tuple(Past("segfault", step, True, 5.0) for step in (1, 2, 3))
    case = Case(job(), directive(max_requeue_times=9), verdict(), 2, ACT, quick, 2, backoff=15.0)
    plan = decide(case)
    assert (plan.verb, plan.start_delay) == (Verb.REQUEUE, 30.0)
    assert plan.reason == "CRASH segfault: requeue 3 of 9, 30 s later: it fails quickly"


def test_resume_on_overrides_a_pointless_cause() -> None:
    wish = directive(resume_on=frozenset({"segfault"}))
    plan = decide(Case(job(), wish, verdict(recovery=Recovery.STOP), 0, ACT))
    assert plan.verb is Verb.REQUEUE


def test_implicated_nodes_are_excluded_unless_the_owner_objects() -> None:
    broken = verdict(recovery=Recovery.REQUEUE_EXCLUDE, nodes=("n1",))
    assert decide(Case(job(), directive(), broken, 0, ACT)).exclude_nodes == ("n1",)
    kept = directive(exclude_nodes=False)
    assert decide(Case(job(), kept, broken, 0, ACT)).exclude_nodes == ()


def test_a_job_whose_end_let_another_go_on_is_left_alone() -> None:
    ended = job(state=JobState.FAILED)
    plan = decide(Case(ended, directive(), verdict(), 0, ACT, taken_over_by="8"))
    assert (plan.verb, plan.branch) == (Verb.LEAVE, "dependent_started")
    assert "job 8" in plan.reason


def test_a_job_that_ended_well_is_left_alone() -> None:
    done = job(state=JobState.COMPLETED)
    assert decide(Case(done, directive(), verdict(), 0, ACT)).verb is Verb.LEAVE


@given(used=st.integers(0, 20), most=st.integers(0, 10))
def test_no_requeue_is_ever_decided_beyond_the_budget(used: int, most: int) -> None:
    plan = decide(Case(job(), directive(max_requeue_times=most), verdict(), used, ACT))
    assert (plan.verb is Verb.REQUEUE) == (used < most)


def test_evidence_is_ripe_when_it_has_settled() -> None:
    ripe = weigh([anomaly(5)], [], ended=False, settle=2.0)
    assert ripe.due == at(7)


def test_evidence_of_an_ended_attempt_is_ripe_at_once() -> None:
    assert weigh([anomaly(5)], [], ended=True, settle=2.0).due == at(5)


def test_teardown_alone_is_never_ripe() -> None:
    assert weigh([anomaly(5, role=Role.TEARDOWN)], [], ended=False, settle=2.0).due is None


def test_progress_further_down_the_same_log_vetoes() -> None:
    pulse = Pulse("a.log", offset=200, at=at(5))
    assert weigh([anomaly(5)], [pulse], ended=False, settle=2.0).due is None


def test_progress_before_the_line_does_not_veto() -> None:
    pulse = Pulse("a.log", offset=50, at=at(6))
    assert weigh([anomaly(5)], [pulse], ended=False, settle=2.0).due == at(7)


def test_progress_in_another_log_vetoes_only_beyond_the_reading_lag() -> None:
    soon, later = Pulse("b.log", 0, at(5.9)), Pulse("b.log", 0, at(6.1))
    assert weigh([anomaly(5)], [soon], ended=False, settle=2.0).due == at(7)
    assert weigh([anomaly(5)], [later], ended=False, settle=2.0).due is None


def test_the_last_steps_of_other_ranks_do_not_hide_why_an_attempt_ended() -> None:
    pulse = Pulse("a.log", offset=200, at=at(5.2))
    assert weigh([anomaly(5)], [pulse], ended=True, settle=2.0).due == at(5)
    long_after = Pulse("a.log", offset=200, at=at(60))
    assert weigh([anomaly(5)], [long_after], ended=True, settle=2.0).due is None


def test_the_mark_keeps_what_others_wrote() -> None:
    mark = Mark(0, at(0), "CRASH segfault: requeue 1 of 3")
    once = with_mark("ask Bob first", mark)
    assert once.startswith("ask Bob first [ajrd a0 n0 hold<")
    assert read_mark(once) == mark
    twice = with_mark(once, Mark(1, None, "stopped"))
    assert twice == "ask Bob first [ajrd a1 n0 hold<0 by - stopped]"


@given(st.text(), st.text())
def test_any_reason_can_be_marked_and_read_back(before: str, reason: str) -> None:
    marked = with_mark(before, Mark(2, None, reason))
    found = read_mark(marked)
    assert found is not None
    assert found.attempt == 2
    assert marked.isprintable() or not before.isprintable()


def test_a_mark_never_makes_the_comment_longer_than_slurm_takes() -> None:
    mark = Mark(2, None, "CRASH segfault: requeue 1 of 3")
    for others in ("x" * 900, "x" * 990, "é" * 505):
        marked = with_mark(others, mark)
        assert len(marked.encode()) <= 1024
        assert marked.startswith(others)
    assert read_mark(with_mark("x" * 990, mark)) is not None
    assert with_mark("x" * 1024, mark) == "x" * 1024
