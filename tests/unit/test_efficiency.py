"""What the time of an attempt was spent on: exact where all is known, never wrong in sign."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ajrd.kpi.efficiency import Efficiency, efficiency
from ajrd.kpi.milestones import Milestones, Steps, Successor
from ajrd.kpi.summary import summarize
from tests.unit.samples import at

BASELINE = 1800.0
LATE = at(1_000_000)
#: Submitted at 0, started at 100, steps 0 to 900 from 160 to 1060, a crash at 1065, decided at
#: 1067, over at 1070; the successor starts at 1080 and goes on with step 600 at 1130.
STORY = Milestones(
    submitted=at(0),
    eligible=at(10),
    started=at(100),
    steps=Steps(first_at=at(160), last_at=at(1060), first_step=0, last_step=900),
    failed=at(1065),
    decided=at(1067),
    ended=at(1070),
    successor=Successor(
        started=at(1080), eligible=at(1072), first_progress=at(1130), first_step=600
    ),
    recovered=True,
    tells_progress=True,
    gpus=8,
)


def reckon(**changes: Any) -> Efficiency:
    return efficiency(replace(STORY, **changes), LATE, BASELINE)


def test_a_recovered_attempt_is_split_into_its_parts() -> None:
    e = reckon()
    assert (e.queued, e.starting, e.productive) == (90, 60, 905)
    assert (e.detection, e.kill, e.requeue_wait, e.restart) == (2, 3, 10, 50)
    assert (e.automatic_downtime, e.manual_downtime, e.saved) == (65, 0, BASELINE - 65)
    assert e.complete


def test_lost_is_what_was_done_beyond_the_successors_first_step_and_what_was_never_confirmed() -> (
    None
):
    e = reckon()
    assert e.lost == (900 - 600) + (1065 - 1060)
    assert e.allocated_gpu_hours == pytest.approx(8 * 970 / 3600)
    assert e.goodput_gpu_hours == pytest.approx(8 * (905 - 305) / 3600)


@pytest.mark.parametrize(
    ("first_step", "repeated"), [(None, 0), (0, 900), (-5, 900), (450, 450), (900, 0), (5000, 0)]
)
def test_the_step_with_which_the_successor_begins_tells_what_is_repeated(
    first_step: int | None, repeated: float
) -> None:
    assert STORY.successor is not None
    e = reckon(successor=replace(STORY.successor, first_step=first_step))
    assert e.lost == repeated + 5


def test_without_steps_only_the_time_since_the_last_confirmed_progress_is_lost() -> None:
    e = reckon(steps=Steps(first_at=at(160), last_at=at(1000)))
    assert e.lost == 65


def test_a_completed_attempt_loses_nothing_and_has_no_downtime() -> None:
    e = reckon(well=True, failed=None, decided=None, successor=None, recovered=False)
    assert (e.productive, e.lost) == (910, 0)
    assert (e.automatic_downtime, e.manual_downtime, e.saved) == (0, 0, 0)
    assert (e.detection, e.kill, e.requeue_wait, e.restart) == (None, None, None, None)


def test_a_log_that_never_tells_of_progress_leaves_it_unknown() -> None:
    e = reckon(steps=None, tells_progress=False)
    assert (e.starting, e.productive, e.lost, e.goodput_gpu_hours) == (None, None, None, 0)


def test_an_attempt_that_dies_before_its_first_progress_was_starting_all_the_time() -> None:
    e = reckon(steps=None)
    assert (e.starting, e.productive, e.lost) == (965, 0, 0)


def test_progress_that_was_read_after_the_end_says_nothing_of_when_it_was_made() -> None:
    e = reckon(steps=Steps(first_at=at(2000), last_at=at(2001)))
    assert (e.starting, e.productive, e.lost) == (None, None, None)


def test_the_time_until_somebody_resubmits_is_manual_and_nothing_was_saved() -> None:
    later = Successor(started=at(5000), eligible=at(4700), first_progress=at(5050))
    e = reckon(successor=later, recovered=False, decided=None, by_people=True)
    assert e.manual_downtime == 4700 - 1070
    assert e.automatic_downtime == (1070 - 1065) + (5000 - 4700) + 50
    assert (e.saved, e.detection, e.kill) == (0, None, None)
    assert (e.requeue_wait, e.restart) == (5000 - 1070, 50)


def test_a_hold_is_manual_from_the_moment_that_ajrd_gave_the_job_up() -> None:
    later = Successor(started=at(5000), eligible=at(5000), first_progress=at(5050))
    e = reckon(successor=later, recovered=False, by_people=True, handed_over=at(1500))
    assert e.manual_downtime == 5000 - 1500


def test_what_a_requeue_by_slurm_itself_takes_is_nobodys_fault() -> None:
    e = reckon(recovered=False, decided=None)
    assert (e.manual_downtime, e.saved) == (0, 0)


def test_a_record_is_complete_once_its_successor_has_begun_to_work_or_is_over() -> None:
    assert STORY.successor is not None
    waiting = replace(STORY.successor, first_progress=None)
    open_one = reckon(successor=waiting)
    assert (open_one.complete, open_one.restart, open_one.saved) == (False, None, None)
    over = reckon(successor=replace(waiting, over=True))
    assert (over.complete, over.restart, over.saved) == (True, None, BASELINE - 15)
    assert not reckon(awaits=True).complete


moments = st.integers(0, 4000).map(at)
maybe = st.none() | moments
step = st.none() | st.integers(0, 50)
successors = st.builds(
    Successor,
    started=moments,
    eligible=maybe,
    first_progress=maybe,
    first_step=step,
    over=st.booleans(),
)
milestones = st.builds(
    Milestones,
    submitted=moments,
    started=moments,
    ended=moments,
    eligible=maybe,
    steps=st.none()
    | st.builds(Steps, first_at=moments, last_at=moments, first_step=step, last_step=step),
    failed=maybe,
    decided=maybe,
    handed_over=maybe,
    successor=st.none() | successors,
    well=st.booleans(),
    recovered=st.booleans(),
    by_people=st.booleans(),
    tells_progress=st.booleans(),
    awaits=st.booleans(),
    gpus=st.integers(0, 16),
)
#: Every moment is known; their order is whatever it is.
recovered_ones = st.builds(
    lambda m, s, decided, first: replace(
        m, well=False, decided=decided, successor=replace(s, first_progress=first)
    ),
    milestones,
    successors,
    moments,
    moments,
)


@given(milestones)
def test_no_part_is_negative_whatever_the_clocks_said(m: Milestones) -> None:
    e = efficiency(m, LATE, BASELINE)
    values = (getattr(e, name) for name in Efficiency.__dataclass_fields__)
    assert all(value is None or value >= 0 for value in values)
    assert (e.lost or 0) <= (e.productive or 0)
    assert e.goodput_gpu_hours <= e.allocated_gpu_hours + 1e-9
    assert e.saved is None or e.saved <= BASELINE


@given(recovered_ones)
def test_the_parts_make_up_the_whole_from_the_start_to_the_successors_first_progress(
    m: Milestones,
) -> None:
    assert m.decided
    assert m.successor
    assert m.successor.first_progress
    e = efficiency(m, LATE, BASELINE)
    assume(e.productive is not None)
    parts = (e.starting, e.productive, e.detection, e.kill, e.requeue_wait, e.restart)
    ends = (m.ended, m.decided, m.successor.started, m.successor.first_progress)
    assert sum(part or 0 for part in parts) == (max(m.started, *ends) - m.started).total_seconds()


@given(recovered_ones)
def test_both_downtimes_last_from_the_failure_to_the_next_progress(m: Milestones) -> None:
    e = efficiency(m, LATE, BASELINE)
    split = (e.detection, e.kill, e.requeue_wait, e.restart)
    assert e.automatic_downtime + e.manual_downtime == sum(part or 0 for part in split)


@given(milestones, st.integers(0, 50), st.integers(0, 50))
def test_a_successor_that_begins_later_in_the_work_means_less_lost(
    m: Milestones, one: int, other: int
) -> None:
    assume(m.successor)
    assert m.successor is not None
    early, late = (
        efficiency(
            replace(m, successor=replace(m.successor, first_step=first)), LATE, BASELINE
        ).lost
        for first in sorted((one, other))
    )
    assert (early or 0) >= (late or 0)


@given(milestones, st.integers(0, 4000), st.integers(0, 4000))
def test_a_later_start_of_the_successor_never_saves_more(
    m: Milestones, one: int, other: int
) -> None:
    assume(m.successor)
    assert m.successor is not None
    soon, late = (
        efficiency(
            replace(m, by_people=False, successor=replace(m.successor, started=at(start))),
            LATE,
            BASELINE,
        ).saved
        for start in sorted((one, other))
    )
    assert (soon or 0) >= (late or 0)


def test_the_wall_time_of_two_attempts_is_from_the_first_start_to_the_last_end() -> None:
    first = reckon()
    steps = Steps(first_at=at(1130), last_at=at(2000), first_step=600, last_step=1470)
    second = reckon(
        started=at(1080), steps=steps, ended=at(2010), well=True, successor=None, recovered=False
    )
    both = summarize([first, second])
    assert both.wall == 2010 - 100
    assert both.effective == (905 - 305) + (2010 - 1130)
    assert both.ettr == both.effective / both.wall
    assert (both.attempts, both.measured, both.recovered) == (2, 2, 1)
    assert both.saved_gpu_hours == pytest.approx(8 * (BASELINE - 65) / 3600)


def test_what_told_of_no_progress_is_left_out_of_the_ratio() -> None:
    silent = reckon(steps=None, tells_progress=False)
    assert summarize([silent]).ettr is None
    assert summarize([silent, reckon()]).ettr == summarize([reckon()]).ettr


@given(st.lists(milestones))
def test_the_ratio_lies_between_0_and_1(many: list[Milestones]) -> None:
    ettr = summarize(efficiency(m, LATE, BASELINE) for m in many).ettr
    assert ettr is None or -1e-9 <= ettr <= 1 + 1e-9
