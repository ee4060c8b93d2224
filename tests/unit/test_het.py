"""A het job as one job: what its components are together."""

from __future__ import annotations

from dataclasses import replace

from ajrd.logs.naming import marks_of
from ajrd.model import HoldBy, JobState
from ajrd.slurm.het import whole
from tests.unit.samples import at, job

FIRST = job(job_id="7+0", raw_id=7, het_job_id=7, nodes="n1", comment="")
SECOND = replace(FIRST, job_id="7+1", raw_id=8, nodes="n[2-3]")


def test_the_whole_goes_by_the_number_of_the_first_and_has_all_nodes() -> None:
    seen = whole([FIRST, SECOND])
    assert (seen.job_id, seen.raw_id, seen.het_job_id, seen.nodes) == ("7", 7, 7, "n[1-3]")
    assert seen.components == (7, 8)
    assert marks_of(seen) == ("7", "8")


def test_a_directive_in_any_component_is_that_of_the_whole() -> None:
    assert whole([FIRST, replace(SECOND, comment="x")]).comment == "x"
    assert whole([replace(FIRST, comment="y"), replace(SECOND, comment="x")]).comment == "y"


def test_it_is_dying_until_the_last_component_is_gone() -> None:
    over = replace(FIRST, state=JobState.FAILED, end_time=at(5))
    assert whole([over, replace(over, completing=True, end_time=at(6))]).completing
    assert whole([over, replace(over, end_time=at(6))]).end_time == at(6)


def test_its_newest_stamp_counts_so_that_no_component_starts_too_soon() -> None:
    assert whole([FIRST, replace(SECOND, submit_time=at(9))]).submit_time == at(9)


def test_a_hold_of_one_component_holds_the_whole() -> None:
    ours = replace(
        FIRST, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD, reason="job requeued in held state"
    )
    theirs = replace(ours, held=HoldBy.ADMIN, reason="JobHeldAdmin")
    assert whole([ours, theirs]).held is HoldBy.ADMIN
    assert whole([ours, theirs]).reason == "JobHeldAdmin"
    waits = replace(ours, held=HoldBy.NOBODY, reason="BeginTime", eligible_time=at(121))
    assert whole([waits, ours]).held is HoldBy.REQUEUE_HOLD
    ready = replace(waits, reason="None", eligible_time=at(1))
    assert (whole([ready, waits]).reason, whole([ready, waits]).eligible_time) == (
        "BeginTime",
        at(121),
    )


def test_a_node_is_excluded_when_every_component_excludes_it() -> None:
    done = replace(FIRST, exclude_nodes="n[5-6]")
    assert whole([done, replace(SECOND, exclude_nodes="n6")]).exclude_nodes == "n6"
    assert whole([done, SECOND]).exclude_nodes == ""
