"""The picture of a timeline: spans of time, bars, gaps, triangles, groups."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.model import ActionState, DecisionState, Role, Step, Verb
from ajrd.policy.directive import Limits
from ajrd.store.records import ActionRecord, AnomalyRecord, AttemptRecord, DecisionRecord, JobRecord
from ajrd.web.pages.efficiency import Sums
from ajrd.web.pages.job import split
from ajrd.web.pages.lanes import Outcome, Told, grouped, lane
from ajrd.web.pages.span import LONGEST, NAMED, SHORTEST, Span, read_span
from ajrd.web.pages.weeks import level, spark, week_starts
from tests.database.samples import a_decision
from tests.unit.samples import COMMENT, anomaly, at
from tests.web.stories import CHAIN

HOUR = Span(at(0), at(3600))


def a_job(**changes: Any) -> JobRecord:
    """A job submitted at the start of the hour."""
    values: dict[str, Any] = {
        "id": 1, "cluster": "c", "job_id": "7", "raw_id": 7, "first_submit_time": at(0),
        "submit_time": at(0), "name": "train", "user": "ada", "uid": 1000, "partition": "main",
        "comment": COMMENT, "managed": True, "note": "", "restarts": 0, "restarts_before": 0,
        "state": "RUNNING", "reason": "", "closed": True, "seen_at": at(0),
    }  # fmt: skip
    return JobRecord(**values | changes)


def told(
    idx: int, start: float, end: float | None, *seen: tuple[float, Role], **changes: Any
) -> Told:
    """An attempt, in seconds after the start of the hour, with anomalies."""
    attempt = AttemptRecord(
        id=idx + 1,
        job=1,
        idx=idx,
        state="FAILED",
        nodes="n1",
        started_at=at(start),
        ended_at=None if end is None else at(end),
    )
    records = tuple(
        AnomalyRecord(id=100 * idx + n, attempt=idx + 1, anomaly=anomaly(seconds, role=role))
        for n, (seconds, role) in enumerate(seen)
    )
    values: dict[str, Any] = {"outcome": Outcome.FAILED, "total": len(records)}
    return Told(attempt=attempt, anomalies=records, **values | changes)


def an_action(step: Step, seconds: float) -> ActionRecord:
    """One that was done."""
    return ActionRecord(
        id=1, decision=1, step=step, key="", target="7", state=ActionState.DONE, tries=1, result="",
        intended_at=at(0), claimed_at=at(seconds), finished_at=at(seconds),
    )  # fmt: skip


def requeued(hold: float, release: float) -> DecisionRecord:
    """A requeue that held the job for a while."""
    actions = (an_action(Step.REQUEUE_HOLD, hold), an_action(Step.RELEASE, release))
    attempt = told(0, 0, 1).attempt
    base = a_decision(attempt)
    return type(base)(
        **{name: getattr(base, name) for name in base.__dataclass_fields__}
        | {"actions": actions, "state": DecisionState.CONVERGED}
    )


def test_a_bar_lies_where_its_attempt_ran() -> None:
    made = lane(a_job(), [told(0, 900, 1800)], HOUR, at(3600), 900)
    assert [(bar.x, bar.width) for bar in made.bars] == [(25.0, 25.0)]


def test_what_runs_reaches_up_to_now_and_what_is_outside_is_cut() -> None:
    made = lane(a_job(), [told(0, -900, 900), told(1, 1800, None)], HOUR, at(2700), 900)
    assert [(bar.x, bar.width) for bar in made.bars] == [(0.0, 25.0), (50.0, 25.0)]


def test_attempts_before_and_after_the_span_are_not_drawn() -> None:
    made = lane(a_job(), [told(0, -900, -1), told(1, 3601, 3700)], HOUR, at(4000), 900)
    assert made.bars == []


def test_a_short_attempt_can_still_be_seen() -> None:
    made = lane(a_job(), [told(0, 3599.9, 3600)], HOUR, at(3600), 900)
    assert made.bars[0].width > 0
    assert made.bars[0].x + made.bars[0].width <= 100


def test_between_attempts_the_hold_is_told_from_the_queue() -> None:
    first = told(0, 360, 1080, decision=requeued(1080, 1440))
    made = lane(a_job(), [first, told(1, 1800, 3600)], HOUR, at(3600), 900)
    gaps = [(gap.kind, round(gap.x), round(gap.width)) for gap in made.gaps]
    assert gaps == [("queue", 0, 10), ("hold", 30, 10), ("queue", 40, 10)]


def test_a_job_that_waits_has_a_gap_up_to_now() -> None:
    made = lane(a_job(closed=False, state="PENDING"), [], HOUR, at(1800), 900)
    assert [(gap.kind, gap.x, gap.width) for gap in made.gaps] == [("queue", 0.0, 50.0)]
    assert made.standing == "waiting"


def test_a_job_that_has_ended_waits_no_more_while_slurm_still_shows_it() -> None:
    ended = told(0, 0, 900, outcome=Outcome.STOPPED)
    made = lane(a_job(closed=False, state="CANCELLED"), [ended], HOUR, at(1800), 900)
    assert (made.standing, made.gaps) == ("stopped", [])


def test_triangles_at_one_place_are_one_that_is_named_after_the_root() -> None:
    seen = ((1790, Role.CASCADE), (1800, Role.ROOT), (1801, Role.TEARDOWN), (3000, Role.CASCADE))
    made = lane(a_job(), [told(0, 0, 3600, *seen)], HOUR, at(3600), 900)
    assert [(mark.count, mark.root, round(mark.x)) for mark in made.marks] == [
        (3, True, 50),
        (1, False, 83),
    ]


def test_on_a_narrow_screen_more_triangles_become_one() -> None:
    attempt = told(0, 0, 3600, (1800, Role.ROOT), (2100, Role.ROOT))
    marks = [len(lane(a_job(), [attempt], HOUR, at(3600), wide).marks) for wide in (900, 200)]
    assert marks == [2, 1]


def test_anomalies_that_were_not_fetched_are_counted_once() -> None:
    attempt = told(0, 0, 3600, (600, Role.ROOT), (3000, Role.CASCADE), total=50)
    made = lane(a_job(), [attempt], HOUR, at(3600), 900)
    assert [mark.count for mark in made.marks] == [1, 49]


def test_the_budget_is_what_was_used_and_what_is_allowed() -> None:
    decision = a_decision(told(0, 0, 1).attempt, Verb.REQUEUE)
    used = type(decision)(
        **{name: getattr(decision, name) for name in decision.__dataclass_fields__} | {"used": 1}
    )
    made = lane(a_job(), [told(0, 0, 1, decision=used)], HOUR, at(3600), 900)
    assert made.budget == (1, 1)
    assert lane(a_job(comment=CHAIN), [], HOUR, at(3600), 900).budget is None


def test_a_budget_is_never_more_than_the_site_allows() -> None:
    for wanted, allowed in ((', "max_requeue_times": 9', 2), ("", 1)):
        comment = f'{{"APS": {{"auto_resume_mode": "requeue"{wanted}}}}}'
        made = lane(a_job(comment=comment), [], HOUR, at(3600), 900, Limits(1, 2))
        assert made.budget == (0, allowed)


def test_a_chain_is_of_one_user_and_one_name() -> None:
    jobs = [
        a_job(id=1, comment=CHAIN),
        a_job(id=2),
        a_job(id=3, comment=CHAIN, user="bob"),
        a_job(id=4, comment=CHAIN),
    ]
    groups = grouped(lane(job, [], HOUR, at(3600), 900) for job in jobs)
    assert [[each.job.id for each in group.lanes] for group in groups] == [[1, 4], [2], [3]]
    assert [group.chain for group in groups] == ["train", "", "train"]


@given(st.sampled_from(sorted(NAMED)), st.lists(st.sampled_from([0.5, 2.0]), max_size=40))
def test_zooming_never_leaves_the_bounds(name: str, factors: list[float]) -> None:
    span = read_span({"range": name}, at(0))
    for factor in factors:
        span = span.zoomed(factor)
        assert SHORTEST <= span.length <= LONGEST
        assert read_span(span.query(), at(1)).length - span.length < timedelta(seconds=2)


@given(st.integers(60, 92 * 86400), st.integers(0, 10**8))
def test_an_axis_has_some_marks_and_all_lie_on_it(length: int, start: int) -> None:
    ticks = list(Span(at(start), at(start + length)).ticks())
    assert 1 <= len(ticks) <= 11
    assert all(0 <= tick.x <= 100 for tick in ticks)


@pytest.mark.parametrize("hours", [1, 6, 24, 24 * 7])
def test_on_a_phone_the_marks_of_the_axis_have_room(hours: int) -> None:
    ticks = list(Span(at(0), at(3600 * hours)).ticks(330))
    apart = [330 * (after.x - before.x) / 100 for before, after in pairwise(ticks)]
    assert len(ticks) >= 2
    assert min(apart) >= 75


@pytest.mark.parametrize(
    ("asked", "length"),
    [
        ({}, 86400),
        ({"range": "1h"}, 3600),
        ({"from": "2026-01-01T10:00:00Z", "to": "2026-01-01T11:00:00Z"}, 3600),
        ({"from": "2026-01-01T11:00:00Z"}, 3600),
        ({"from": "2026-01-01T11:00:00Z", "to": "2026-01-01T10:00:00Z"}, 3600),
        ({"from": "2027-01-01"}, 86400),
        ({"from": "0001-01-01T00:00:00-20:00"}, 86400),
        ({"from": "2000-01-01"}, LONGEST.total_seconds()),
    ],
)
def test_a_span_is_read_or_is_the_default(asked: dict[str, str], length: float) -> None:
    assert read_span(asked, at(0)).length == timedelta(seconds=length)


def test_the_split_of_an_attempt_fills_its_bar_without_the_queue() -> None:
    names = ("queued", "starting", "lost", "detection", "kill", "requeue_wait")
    row: dict[str, Any] = {f"{name}_seconds": 10.0 for name in names}
    row |= {"productive_seconds": 50.0, "restart_seconds": None}
    parts = {part.name: part for part in split(row)}
    assert list(parts) == ["queued", "starting", "kept", *names[2:]]
    assert parts["kept"].seconds == 40
    assert sum(part.width for part in parts.values()) == pytest.approx(100)
    assert parts["queued"].width == 0


def test_sums_of_the_worked_example_have_its_ratio() -> None:
    """That of docs/efficiency.md: an attempt that is recovered, and one that completes."""
    sums = Sums(
        starting_seconds=60 + 50,
        productive_seconds=905 + 880,
        lost_seconds=305,
        restart_seconds=50,
        automatic_downtime_seconds=65,
    )
    assert sums.ettr == pytest.approx(0.775, abs=0.0005)
    assert sum(sums.losses.values()) + 600 + 880 == 2010 - 100


def test_weeks_begin_on_mondays_and_the_last_holds_now() -> None:
    starts = week_starts(at(0), 3)
    assert [start.astimezone().weekday() for start in starts] == [0, 0, 0]
    assert starts[-1] <= at(0) < starts[-1] + timedelta(days=8)


def test_a_line_has_its_largest_number_on_top() -> None:
    assert spark([0, 2, 1]) == "0.0,22.0 50.0,2.0 100.0,12.0"
    assert [level(number) for number in (0, 1, 2, 3, 4, 7, 8)] == [0, 1, 2, 2, 3, 3, 4]
