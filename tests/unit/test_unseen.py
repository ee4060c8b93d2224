"""Jobs that end and are forgotten by Slurm while no ajrd looks: their rows are closed."""

from __future__ import annotations

from datetime import timedelta

from ajrd.store.queries import Query
from ajrd.store.records import JobRecord
from tests.unit.recovery_world import World

ONCE = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'
#: Longer than MinJobAge.
LONG = timedelta(hours=1)


async def begun(world: World) -> str:
    job_id = world.slurm.submit(comment=ONCE)
    world.slurm.schedule()
    await world.turn()
    return job_id


async def known(world: World, job_id: str) -> JobRecord:
    record = await world.store.latest_job("memory", job_id)
    assert record is not None
    return record


def restart(world: World) -> None:
    world.kill()
    world.start()


async def test_a_job_that_went_while_ajrd_was_down_is_closed_with_its_attempt(
    world: World,
) -> None:
    job_id = await begun(world)
    world.slurm.finish(job_id)
    world.clock.pass_by(LONG.total_seconds())
    restart(world)
    await world.turn()
    await world.turn()
    assert not (await known(world, job_id)).closed, "one look may be a controller's hiccup"
    await world.go_on(5)
    job = await known(world, job_id)
    assert job.closed
    (attempt,) = await world.store.attempts(job.id)
    assert (attempt.state, attempt.ended_at is not None) == ("UNKNOWN", True)
    said = await world.store._all(Query("SELECT * FROM events WHERE event = 'job_closed'"))
    assert len(said) == 1


async def test_a_job_that_is_still_there_stays_open(world: World) -> None:
    job_id = await begun(world)
    restart(world)
    await world.go_on(10)
    assert not (await known(world, job_id)).closed
    assert [w.record.job_id for w in world.recovery.watched] == [job_id]


async def test_a_job_whose_comment_went_while_ajrd_was_down_is_still_known(world: World) -> None:
    """Slurm shows it, so it is neither over nor out of sight."""
    job_id = await begun(world)
    world.slurm.set(job_id, comment="")
    restart(world)
    await world.go_on(10)
    job = await known(world, job_id)
    assert (job.closed, job.managed) == (False, False)


async def test_an_open_decision_ends_before_its_job_is_closed(world: World) -> None:
    job_id = await begun(world)
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(3)
    await world.turn()
    world.slurm.finish(job_id)
    world.clock.pass_by(LONG.total_seconds())
    restart(world)
    for _ in range(6):
        await world.turn()
    assert not (await known(world, job_id)).closed
    await world.go_on(5)
    assert (await known(world, job_id)).closed
    assert await world.store.open_decisions() == []


async def test_a_store_that_fails_meanwhile_only_delays_it(world: World) -> None:
    job_id = await begun(world)
    world.slurm.finish(job_id)
    world.clock.pass_by(LONG.total_seconds())
    restart(world)
    await world.turn()
    await world.turn()
    await world.turn()
    world.store.failing = "after"
    await world.go_on(8)
    assert (await known(world, job_id)).closed


async def test_a_job_whose_id_was_taken_while_ajrd_was_down_ends_with_its_attempt(
    world: World,
) -> None:
    job_id = await begun(world)
    old = await known(world, job_id)
    world.slurm.finish(job_id)
    world.clock.pass_by(LONG.total_seconds())
    await world.slurm.jobs()
    world.slurm.next_id = int(job_id)
    restart(world)
    assert await begun(world) == job_id
    assert (await known(world, job_id)).id != old.id
    (attempt,) = await world.store.attempts(old.id)
    assert (attempt.state, attempt.ended_at is not None) == ("UNKNOWN", True)
