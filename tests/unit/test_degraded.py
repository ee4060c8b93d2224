"""Without its database: detection, looking and, after the grace, recovery go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ajrd.judgement import Judgement
from ajrd.model import DecisionState, HoldBy, JobState, Verb
from ajrd.slurm.admin_comment import Mark, read_mark, with_mark
from ajrd.store.records import DecisionRecord
from ajrd.store.store import Store
from tests.unit.recovery_world import GRACE, World
from tests.unit.samples import anomaly, at

ONCE = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'
CHAIN = '{"APS": {"auto_resume_mode": "singleton_dependency"}}'
TWICE = ONCE.replace("1", "2")


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    return Judgement([])


@pytest.fixture
async def world(tmp_path: Path, judgement: Judgement) -> AsyncIterator[World]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/empty.sqlite")
    await store.close()
    world = await World.make(tmp_path / "empty.sqlite", tmp_path / "ajrd.sqlite", judgement)
    yield world
    world.kill()
    await world.store.close()


async def running(world: World, comment: str = ONCE) -> str:
    job_id = world.slurm.submit(comment=comment)
    await world.go_on(2)
    return job_id


async def decision(world: World, job_id: str, idx: int) -> DecisionRecord:
    record = await world.store.latest_job("memory", job_id)
    assert record is not None
    attempt = (await world.store.attempts(record.id))[idx]
    found = await world.store.decision(attempt.id)
    assert found is not None
    return found


async def requeue(world: World, after: float = 0.0) -> None:
    """Goes on until the job was requeued, and not a step further."""
    await world.turn()
    world.clock.pass_by(after)
    while not world.slurm.requeued:
        await world.turn()
        await world.recovery.step(0)
        world.clock.pass_by(0.5)


async def test_a_crash_waits_for_the_grace_and_no_longer(world: World) -> None:
    job_id = await running(world)
    world.store.away = True
    world.crash(job_id)
    await world.go_on(GRACE - 5)
    assert world.slurm.requeued == []
    await world.go_on(20)
    assert world.slurm.requeued == [(job_id, 0)]
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.state, seen.restarts, seen.held) == (JobState.RUNNING, 1, HoldBy.NOBODY)
    mark = read_mark(seen.admin_comment)
    assert mark is not None
    assert (mark.attempt, mark.used, mark.by) == (0, 1, "alone")


async def test_everything_is_written_when_the_database_is_back(world: World) -> None:
    job_id = await running(world)
    world.store.away = True
    world.crash(job_id)
    await world.go_on(GRACE + 20)
    world.store.away = False
    await world.go_on(3)
    made = await decision(world, job_id, 0)
    assert (made.degraded, made.verb, made.state) == (True, Verb.REQUEUE, DecisionState.CONVERGED)
    assert [action.state for action in made.actions] == ["done"] * 4
    record = await world.store.latest_job("memory", job_id)
    assert record is not None
    attempts = await world.store.attempts(record.id)
    assert [attempt.state for attempt in attempts] == ["REQUEUED", "RUNNING"]
    assert len(await world.store.anomalies(attempts[0].id)) == 1
    assert await world.store.requeues_begun(record.id) == 1


async def test_a_job_that_began_while_the_database_was_away_is_protected_too(world: World) -> None:
    await world.go_on(1)
    world.store.away = True
    job_id = await running(world)
    world.crash(job_id)
    await world.go_on(GRACE + 20)
    assert world.slurm.requeued == [(job_id, 0)]
    world.store.away = False
    await world.go_on(3)
    assert (await decision(world, job_id, 0)).degraded
    world.crash(job_id)
    await world.go_on(10)
    assert (await decision(world, job_id, 1)).branch == "budget_spent"
    assert world.slurm.cancelled == [(job_id, 1)]


async def test_what_was_forgotten_by_a_kill_9_is_still_counted(world: World) -> None:
    """The number of requeues stands in AdminComment, where the database has never heard of it."""
    job_id = await running(world)
    world.store.away = True
    world.crash(job_id)
    await world.go_on(GRACE + 20)
    assert world.slurm.requeued == [(job_id, 0)]
    world.kill()
    world.store.away = False
    world.start()
    await world.go_on(3)
    world.crash(job_id)
    await world.go_on(10)
    assert world.slurm.requeued == [(job_id, 0)]
    assert (await decision(world, job_id, 1)).branch == "budget_spent"


async def test_an_announcement_that_a_kill_9_has_left_is_no_requeue(world: World) -> None:
    job_id = await running(world)
    world.store.away = True
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(GRACE)
    while (seen := world.seen(job_id)) is not None and not read_mark(seen.admin_comment):
        await world.turn()
        await world.recovery.step(0)
        world.clock.pass_by(0.1)
    assert world.slurm.requeued == []
    world.kill()
    world.store.away = False
    world.start()
    await world.go_on(10)
    assert (world.slurm.requeued, world.slurm.cancelled) == ([(job_id, 0)], [])
    assert (await decision(world, job_id, 0)).used == 1


async def test_a_hold_that_a_kill_9_left_without_a_decision_ends_at_its_deadline(
    world: World,
) -> None:
    job_id = await running(world)
    world.store.away = True
    world.crash(job_id)
    await requeue(world, GRACE)
    world.kill()
    seen = world.seen(job_id)
    assert seen is not None
    assert seen.held is HoldBy.REQUEUE_HOLD
    world.store.away = False
    world.start()
    await world.go_on(200, step=10)
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.state, seen.restarts) == (JobState.RUNNING, 1)


async def test_a_chain_goes_on_that_an_ajrd_without_its_database_had_begun_to_hand_over(
    world: World,
) -> None:
    """It was killed after its scancel: the next one must not take that for the user's."""
    job_id = await running(world, CHAIN)
    world.store.away = True
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(GRACE)
    while (seen := world.seen(job_id)) and seen.state is not JobState.CANCELLED:
        await world.go_on(0.5)
    world.kill()
    world.store.away = False
    world.start()
    await world.go_on(30)
    assert (await decision(world, job_id, 0)).verb is Verb.CHAIN


async def test_a_hold_that_a_killed_slurmctld_shows_again_without_its_mark_ends_at_its_deadline(
    world: World,
) -> None:
    """An attempt that has ended cannot be announced: nothing in Slurm says whose hold it is."""
    job_id = await running(world)
    world.crash(job_id)
    await world.go_on(30)
    assert (await decision(world, job_id, 0)).outcome == "successor_started"
    hold = {
        "state": JobState.PENDING,
        "held": HoldBy.REQUEUE_HOLD,
        "nodes": "",
        "admin_comment": "",
    }
    world.slurm.set(job_id, **hold, start_time=None)
    await world.go_on(300, step=10)
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.state, seen.restarts) == (JobState.RUNNING, 1)


async def test_a_hold_of_somebody_else_after_a_recovery_stays(world: World) -> None:
    job_id = await running(world, TWICE)
    world.crash(job_id)
    await world.go_on(30)
    hold = {"state": JobState.PENDING, "held": HoldBy.REQUEUE_HOLD, "nodes": "", "restarts": 2}
    world.slurm.set(job_id, **hold, start_time=None)
    await world.go_on(300, step=10)
    seen = world.seen(job_id)
    assert seen is not None
    assert seen.held is HoldBy.REQUEUE_HOLD


async def test_an_open_decision_whose_database_goes_away_is_carried_to_its_end(
    world: World,
) -> None:
    job_id = await running(world)
    world.crash(job_id)
    await requeue(world)
    world.store.away = True
    await world.go_on(GRACE + 10)
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.state, seen.restarts) == (JobState.RUNNING, 1)
    world.store.away = False
    await world.go_on(3)
    made = await decision(world, job_id, 0)
    assert (made.degraded, made.outcome) == (True, "successor_started")


async def test_who_finds_another_name_in_the_comment_leaves_the_job_to_it(world: World) -> None:
    job_id = await running(world)
    world.store.away = True
    world.crash(job_id)
    await world.go_on(GRACE - 5)
    while (seen := world.seen(job_id)) is not None and not read_mark(seen.admin_comment):
        await world.go_on(1)
    assert seen is not None
    other = Mark(0, at(120), "CRASH segfault: requeue 1 of 1", 1, "head2")
    world.slurm.set(job_id, admin_comment=with_mark(seen.admin_comment, other))
    await world.go_on(20)
    assert world.slurm.requeued == []


async def test_a_restart_counter_spends_the_budget_while_nobody_can_be_asked(
    world: World,
) -> None:
    job_id = await running(world, TWICE)
    for _ in range(2):
        world.slurm.admin_requeue(job_id)
        await world.go_on(130, step=10)
    world.store.away = True
    world.crash(job_id)
    await world.go_on(GRACE + 20)
    assert world.slurm.requeued == []
    assert world.slurm.cancelled == [(job_id, 2)]


async def test_who_never_read_what_was_decided_does_not_decide_without_it(world: World) -> None:
    job_id = await running(world)
    world.crash(job_id)
    world.kill()
    world.start()
    world.store.away = True
    await world.go_on(GRACE + 20)
    assert world.slurm.requeued == []
    world.store.away = False
    await world.go_on(8)
    assert world.slurm.requeued == [(job_id, 0)]


async def test_an_ended_attempt_that_would_be_stopped_waits_for_the_store_and_its_logs(
    world: World,
) -> None:
    """What its logs say may not be readable yet: the store knows where they begin."""
    world.store.away = True
    await world.go_on(1)
    job_id = world.slurm.submit(comment=ONCE)
    await world.go_on(2)
    world.slurm.finish(job_id, JobState.FAILED, exit_code=1)
    await world.go_on(GRACE + 20)
    world.lines[job_id, 0] = [anomaly(0, f"{job_id}.log")]
    world.store.away = False
    await world.go_on(8)
    assert world.slurm.requeued == [(job_id, 0)]
