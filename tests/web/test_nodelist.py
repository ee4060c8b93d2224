"""Nodes are found in lists of Slurm's notation, at no cost that others would feel."""

from __future__ import annotations

import asyncio

import pytest
from ClusterShell.NodeSet import NodeSet
from hypothesis import given
from hypothesis import strategies as st

from ajrd.web.nodelist import among, holds


@pytest.mark.parametrize(
    ("nodes", "node", "there"),
    [
        ("n[1-4],m7", "n3", True),
        ("n[1-4],m7", "m7", True),
        ("n[1-4]", "n5", False),
        ("n[01-04]", "n1", False),
        ("n[1-4]", "n01", False),
        ("n[098-102]", "n100", True),
        ("n[8-12]", "n010", False),
        ("n10[00-20]", "n1007", True),
        ("r[1-2]n[1,3-4]", "r2n4", True),
        ("r[1-2]n[1,3-4]", "r2n2", False),
        ("n[1-4]-ib", "n2-ib", True),
        ("n[1-4]", "xn2", False),
        ("", "n1", False),
        ("n[1-", "n1", False),
    ],
)
def test_a_node_is_looked_for_in_slurms_notation(nodes: str, node: str, there: bool) -> None:
    assert holds(nodes, node) is there


NUMBERS = st.integers(0, 130)
NODES = st.one_of(
    NUMBERS.map(lambda number: f"n{number}"),
    NUMBERS.map(lambda number: f"gpu{number:03d}"),
    st.tuples(st.integers(0, 3), NUMBERS).map(lambda two: f"r{two[0]}n{two[1]}"),
)


@given(st.lists(NODES, min_size=1, max_size=30), NODES)
def test_it_agrees_with_what_writes_lists(nodes: list[str], node: str) -> None:
    assert holds(str(NodeSet.fromlist(nodes)), node) is (node in nodes)
    assert holds(str(NodeSet.fromlist(nodes)), nodes[0])


async def test_others_get_their_turn_between_long_lists() -> None:
    far = ",".join(f"{number:05d}" for number in range(0, 8000, 2))
    lists = [f"node[{far},{number:05d}]" for number in range(9000, 9050)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others_task = asyncio.create_task(others())
    assert await among(lists, "node09025") == {lists[25]}
    others_task.cancel()
    assert turns >= len(lists)
