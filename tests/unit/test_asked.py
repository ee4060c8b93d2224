"""A requeue that somebody asks for: who may have how many, and what forbids it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.model import HoldBy, JobState, ResumeMode, Verb
from ajrd.policy.asked import Wish, requeue_as_asked
from ajrd.policy.decide import Plan
from ajrd.policy.directive import NotManaged
from ajrd.policy.eligibility import Site
from tests.unit.samples import directive, job


def wish(**changes: Any) -> Wish:
    values: dict[str, Any] = {
        "by": "ada",
        "why": "the nodes are back",
        "job": job(user="ada"),
        "directive": directive(max_requeue_times=2),
        "used": 0,
        "ceiling": 4,
        "site": Site(act=True),
    }
    return Wish(**values | changes)


def test_an_owner_has_what_his_directive_leaves() -> None:
    plan = requeue_as_asked(wish(used=1))
    assert plan == Plan(
        Verb.REQUEUE,
        "operator",
        "asked for by ada (the nodes are back): requeue 2 of 2",
        used=2,
    )
    assert requeue_as_asked(wish(used=2)) == (
        "the budget is spent: requeued 2 of 2 times; an operator may go up to 4"
    )


def test_an_operator_goes_beyond_it_up_to_the_ceiling_and_the_reason_says_so() -> None:
    plan = requeue_as_asked(wish(by="root", used=2, why=""))
    assert isinstance(plan, Plan)
    assert plan.reason == (
        "asked for by root: requeue 3 of 4, beyond the owner's 2, as an operator may up to the"
        " site's ceiling"
    )
    assert requeue_as_asked(wish(by="root", used=4)) == (
        "the site's ceiling is reached: requeued 4 of 4 times"
    )


@given(used=st.integers(0, 20), allowed=st.integers(0, 10), owner=st.booleans())
def test_nobody_gets_more_than_is_his(used: int, allowed: int, owner: bool) -> None:
    by = "ada" if owner else "root"
    asked = wish(by=by, used=used, directive=directive(max_requeue_times=allowed), ceiling=10)
    plan = requeue_as_asked(asked)
    assert isinstance(plan, Plan) is (used < (allowed if owner else 10))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"site": Site(act=False)}, "only observes"),
        ({"site": Site(frozenset({"other"}), True)}, "partition main is not among those"),
        ({"directive": NotManaged("no directive")}, "not managed: no directive"),
        ({"job": job(requeue=False)}, "requeue is disabled"),
        ({"job": job(batch=False)}, "not a batch job"),
        ({"job": job(state=JobState.PENDING)}, "is pending"),
        ({"job": job(state=JobState.PENDING, held=HoldBy.USER)}, "held by its user"),
        ({"job": job(state=JobState.SUSPENDED)}, "scontrol resume 7"),
        ({"job": job(state=JobState.CANCELLED)}, "cancelled by"),
        ({"job": job(state=JobState.COMPLETED)}, "ended well"),
        ({"job": job(state=JobState.FAILED), "taken_over_by": "8"}, "job 8, which waited"),
    ],
)
@pytest.mark.parametrize("mode", list(ResumeMode))
def test_what_forbids_it_is_told(changes: dict[str, Any], words: str, mode: ResumeMode) -> None:
    told = requeue_as_asked(wish(**{"directive": directive(mode=mode), **changes}))
    assert isinstance(told, str)
    assert words in told


def test_a_job_of_a_singleton_chain_may_be_requeued_when_somebody_wants_it() -> None:
    chain = directive(mode=ResumeMode.SINGLETON, max_requeue_times=2)
    assert isinstance(requeue_as_asked(wish(directive=chain)), Plan)
