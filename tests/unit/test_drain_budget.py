"""May a node be drained? Never more than the budget, never the last nodes of a partition."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.hardware.drain import Answer, judge
from ajrd.slurm.nodes import NodeInfo, is_node, reason
from tests.outward.world import LIMITS, node
from tests.unit.samples import at

FOUR = [node(f"n{i}") for i in range(4)]
OURS = "ajrd: HARDWARE xid"


def asked(
    name: str = "n0", nodes: list[NodeInfo] | None = None, kind: str = "HARDWARE", **limits: object
) -> tuple[Answer, str]:
    changed = replace(LIMITS, **limits)  # type: ignore[arg-type]
    return judge(name, kind, FOUR if nodes is None else nodes, changed, None, at(0))


def test_a_suspected_node_among_enough_others_is_drained() -> None:
    assert asked() == (Answer.NOW, "")


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("n0", "NETWORK", "not among hardware.drain.kinds"),
        ("ALL", "HARDWARE", "no plain name"),
        ("n[0-3]", "HARDWARE", "no plain name"),
        ("n9", "HARDWARE", "knows no such node"),
    ],
)
def test_some_are_never_drained(name: str, kind: str, why: str) -> None:
    answer, said = asked(name, kind=kind)
    assert answer is Answer.NEVER
    assert why in said


def test_what_is_drained_already_stays_as_it_is() -> None:
    for why in ("ticket 4711", OURS):
        assert asked(nodes=[node("n0", "mixed+drain", why), *FOUR[1:]])[0] is Answer.NEVER


def test_a_node_that_is_down_waits() -> None:
    assert asked(nodes=[node("n0", "down"), *FOUR[1:]])[0] is Answer.LATER


def test_the_share_of_each_partition_is_kept() -> None:
    nodes = [node(f"n{i}", "idle", "none", "big") for i in range(9)]
    nodes.append(node("n9", "idle", "none", "big", "small"))
    nodes.append(node("s1", "idle", "none", "small"))
    assert asked("n0", nodes, max_share=0.4)[0] is Answer.NOW
    answer, said = asked("n9", nodes, max_share=0.4)
    assert answer is Answer.LATER
    assert "1 of 2 nodes of small" in said


def test_two_drains_are_a_cool_down_apart() -> None:
    limits = replace(LIMITS, cool_down=60.0)
    assert judge("n0", "HARDWARE", FOUR, limits, at(-59), at(0))[0] is Answer.LATER
    assert judge("n0", "HARDWARE", FOUR, limits, at(-60), at(0))[0] is Answer.NOW


states = st.sampled_from(["idle", "mixed", "allocated", "down", "idle+drain", "down+drain"])
reasons = st.sampled_from(["none", OURS, "somebody else"])
clusters = st.lists(
    st.tuples(states, reasons, st.sets(st.sampled_from(["a", "b"]), min_size=1)),
    min_size=1,
    max_size=8,
)


@given(
    clusters,
    st.integers(1, 3),
    st.floats(0.05, 1.0),
    st.integers(1, 3),
    st.integers(0, 7),
)
def test_whatever_the_cluster_looks_like_the_budget_holds(
    cluster: list[tuple[str, str, set[str]]], most: int, share: float, keep: int, which: int
) -> None:
    nodes = [
        node(f"n{i}", state, why if "drain" in state else "none", *sorted(parts))
        for i, (state, why, parts) in enumerate(cluster)
    ]
    answer, _ = asked(f"n{which}", nodes, max_nodes=most, max_share=share, keep_nodes=keep)
    if answer is not Answer.NOW:
        return
    after = [
        replace(each, state=each.state | {"drain"}, reason=OURS) if i == which else each
        for i, each in enumerate(nodes)
    ]
    ours = [each for each in after if each.drained_by_ajrd]
    assert len(ours) <= most
    for partition in after[which].partitions:
        members = [each for each in after if partition in each.partitions]
        assert sum(each.usable for each in members) >= keep
        assert sum(each.drained_by_ajrd for each in members) <= share * len(members)


@given(st.text())
def test_a_reason_is_one_short_line_of_plain_characters(text: str) -> None:
    said = reason(text)
    assert said.startswith("ajrd: ")
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= 160


@pytest.mark.parametrize("name", ["all", "ALL", "a,b", "a[1]", "-a", "a b", "a\n", "", "é"])
def test_only_the_plain_name_of_one_node_is_one(name: str) -> None:
    assert not is_node(name)
    assert is_node("gpu-node_7.example.org")
