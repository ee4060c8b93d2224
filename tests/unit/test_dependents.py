"""Who waited for a job to end, and was let go by that."""

from __future__ import annotations

import pytest

from ajrd.model import JobInfo, JobState
from ajrd.policy.dependents import Dependents, awaited
from tests.unit.samples import job

ENDED = job(state=JobState.FAILED)


def waiting(dependency: str) -> JobInfo:
    return job(job_id="8", raw_id=8, state=JobState.PENDING, dependency=dependency, start_time=None)


def after(*listings: list[JobInfo]) -> Dependents:
    dependents = Dependents()
    for listing in listings:
        dependents.look(listing)
    return dependents


@pytest.mark.parametrize(
    ("dependency", "names"),
    [
        ("afterany:7(unfulfilled),afternotok:9_*(unfulfilled)", {"7", "9_*"}),
        ("afternotok:7(unfulfilled)?afterok:9(unfulfilled)", {"7"}),
        ("afterany:7_12(unfulfilled)", {"7_12"}),
        ("after:7+5(unfulfilled),afterok:7(unfulfilled),aftercorr:7_*(unfulfilled)", set()),
        ("singleton(unfulfilled)", set()),
        ("", set()),
    ],
)
def test_whose_failure_lets_a_job_start(dependency: str, names: set[str]) -> None:
    assert awaited(dependency) == names


@pytest.mark.parametrize("kind", ["afterany", "afternotok"])
def test_a_job_that_has_started_was_let_go(kind: str) -> None:
    started = job(job_id="8", raw_id=8)
    dependents = after([waiting(f"{kind}:7(unfulfilled)")], [ENDED, started])
    assert dependents.let_go(ENDED) == "8"
    assert dependents.let_go(job(job_id="77", raw_id=77)) is None


def test_one_that_waits_for_resources_by_now_was_let_go() -> None:
    dependents = after([waiting("afterany:7(unfulfilled)")], [ENDED, waiting("")])
    assert dependents.let_go(ENDED) == "8"


def test_one_that_still_waits_was_not() -> None:
    both = [waiting("afterany:7(unfulfilled),afterany:9(unfulfilled)")]
    assert after(both, both).let_go(ENDED) is None
    assert after(both, [waiting("afterany:7(unfulfilled)")]).let_go(ENDED) is None


def test_one_that_was_cancelled_or_forgotten_was_not() -> None:
    first = [waiting("afterany:7(unfulfilled)")]
    cancelled = job(job_id="8", raw_id=8, state=JobState.CANCELLED, start_time=None)
    assert after(first, [cancelled]).let_go(ENDED) is None
    assert after(first, [], [job(job_id="8", raw_id=8)]).let_go(ENDED) is None


def test_a_task_ends_what_waited_for_it_or_its_array() -> None:
    task = job(job_id="7_1", raw_id=12, array_job_id=7, state=JobState.FAILED)
    for name, expected in (("7_1", "8"), ("7_*", "8"), ("7_2", None)):
        dependents = after([waiting(f"afterany:{name}(unfulfilled)")], [waiting("")])
        assert dependents.let_go(task) == expected
