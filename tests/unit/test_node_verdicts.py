"""What a hardware service says of nodes changes which nodes a successor is kept away from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.model import Recovery, Verb
from ajrd.policy.asked import Wish, requeue_as_asked
from ajrd.policy.decide import Case, Plan, decide
from ajrd.policy.eligibility import Site
from ajrd.policy.nodes import MOST, Health, Known, Opinion, Validity, excluded, known_of
from tests.unit.samples import at, directive, job, verdict

VALIDITY = Validity(faulty=1000.0, healthy=100.0)
BLAMED = verdict(recovery=Recovery.REQUEUE_EXCLUDE, nodes=("n1", "n2"))


def plan(known: Known, exclude: bool = True, recovery: Recovery = Recovery.REQUEUE_EXCLUDE) -> Plan:
    found = verdict(recovery=recovery, nodes=("n1", "n2"))
    wanted = directive(exclude_nodes=exclude)
    case = Case(job(), wanted, found, used=0, site=Site(act=True), known=known)
    return decide(case)


def test_a_faulty_verdict_keeps_every_requeue_away_from_the_node() -> None:
    assert plan(Known(("n9",))).exclude_nodes == ("n1", "n2", "n9")
    assert plan(Known(("n9",)), recovery=Recovery.REQUEUE).exclude_nodes == ("n9",)


def test_a_healthy_verdict_clears_a_node_that_evidence_blames() -> None:
    assert plan(Known((), frozenset({"n1"}))).exclude_nodes == ("n2",)


def test_an_owner_who_wants_no_node_avoided_gets_none_avoided() -> None:
    assert plan(Known(("n9",)), exclude=False).exclude_nodes == ()


def test_a_requeue_that_is_asked_for_avoids_faulty_nodes() -> None:
    wish = Wish(
        by="ada",
        why="",
        job=job(),
        directive=directive(),
        used=0,
        ceiling=3,
        site=Site(act=True),
        known=Known(("n9",)),
    )
    answer = requeue_as_asked(wish)
    assert isinstance(answer, Plan)
    assert (answer.verb, answer.exclude_nodes) == (Verb.REQUEUE, ("n9",))


@pytest.mark.parametrize(
    ("health", "age", "holds"),
    [
        (Health.FAULTY, 999, True),
        (Health.FAULTY, 1000, False),
        (Health.HEALTHY, 99, True),
        (Health.HEALTHY, 100, False),
        (Health.PENDING, 0, False),
    ],
)
def test_a_verdict_holds_for_its_time(health: Health, age: float, holds: bool) -> None:
    known = known_of([Opinion("n1", health, at(0))], at(age), VALIDITY)
    assert bool(known.faulty or known.healthy) is holds


def test_the_newest_verdict_on_a_node_counts_and_pending_is_none() -> None:
    opinions = [
        Opinion("n1", Health.PENDING, at(30)),
        Opinion("n1", Health.HEALTHY, at(20)),
        Opinion("n1", Health.FAULTY, at(10)),
    ]
    assert known_of(opinions, at(40), VALIDITY) == Known((), frozenset({"n1"}))


names = st.sampled_from([f"n{i}" for i in range(6)])
opinions = st.builds(Opinion, names, st.sampled_from(list(Health)), st.integers(0, 2000).map(at))


@given(st.lists(opinions), st.integers(0, 3000), st.lists(names, unique=True))
def test_no_node_is_both_and_what_is_cleared_is_not_avoided(
    said: list[Opinion], now: int, blamed: list[str]
) -> None:
    known = known_of(said, at(now), VALIDITY)
    assert not known.healthy & set(known.faulty)
    avoided = excluded(blamed, known)
    assert len(set(avoided)) == len(avoided)
    assert not known.healthy & set(avoided)
    assert set(blamed) - known.healthy <= set(avoided)


def test_no_more_faulty_nodes_are_avoided_than_slurm_can_be_told() -> None:
    known = Known(tuple(f"n{i}" for i in range(500)))
    assert excluded(("x",), known) == ("x", *known.faulty[:MOST])
