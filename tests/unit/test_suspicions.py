"""Nodes that a decision implicates are kept with it, also when the database was away."""

from __future__ import annotations

import pytest

from ajrd.model import Anomaly, Recovery
from ajrd.store.queries import Query
from tests.unit.recovery_world import GRACE, World
from tests.unit.samples import finding

ONCE = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'


async def broken(world: World, comment: str, recovery: Recovery = Recovery.REQUEUE_EXCLUDE) -> str:
    """A running job whose log blames the node n1."""
    job_id = world.slurm.submit(comment=comment)
    world.slurm.schedule()
    await world.turn()
    blamed = finding(cause="xid", recovery=recovery, facts={"node": "n1.cluster"})
    world.lines[job_id, 0] = [Anomaly(blamed, f"{job_id}.log", world.clock())]
    return job_id


async def suspected(world: World) -> list[tuple[str, str, str, bool]]:
    query = Query("SELECT node, kind, cause, excluded FROM node_suspicions")
    rows = await world.store._database.all(query)
    return [(row["node"], row["kind"], row["cause"], bool(row["excluded"])) for row in rows]


async def test_a_node_that_is_excluded_is_under_suspicion(world: World) -> None:
    await broken(world, ONCE)
    await world.go_on(8)
    assert await suspected(world) == [("n1", "CRASH", "xid", True)]


@pytest.mark.parametrize(
    "comment",
    [ONCE.replace("1", "0"), ONCE.replace("}}", ', "exclude_nodes": false}}')],
    ids=["budget spent", "owner excludes none"],
)
async def test_a_node_that_is_only_blamed_is_not_excluded(world: World, comment: str) -> None:
    await broken(world, comment)
    await world.go_on(8)
    assert await suspected(world) == [("n1", "CRASH", "xid", False)]


async def test_no_node_is_suspected_where_none_is_to_blame(world: World) -> None:
    await broken(world, ONCE, Recovery.REQUEUE)
    await world.go_on(8)
    assert world.slurm.requeued
    assert await suspected(world) == []


async def test_a_suspicion_without_the_database_is_written_when_it_is_back(world: World) -> None:
    await broken(world, ONCE)
    world.store.away = True
    await world.go_on(GRACE + 20)
    assert world.slurm.requeued
    world.store.away = False
    await world.go_on(3)
    assert await suspected(world) == [("n1", "CRASH", "xid", True)]
