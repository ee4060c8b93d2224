"""How often the driver tries what Slurm refuses, and how long it waits in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.judgement import Judgement
from ajrd.model import ActionState, DecisionState, HoldBy, JobState, Step
from ajrd.recovery.driver import MAX_TRIES, QUICK, SLOW, Run
from ajrd.recovery.sequence import Do, End, Move, Outcome, Wait
from ajrd.slurm.admin_comment import Mark, read_mark
from ajrd.slurm.base import Refusal
from ajrd.store.records import ActionRecord, DecisionRecord
from tests.unit.recovery_world import FailingStore, World
from tests.unit.samples import COMMENT

PASSING = (Refusal.WRONG_STATE, Refusal.NOT_PERMITTED)


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    return Judgement([])


@pytest.fixture
async def world(tmp_path: Path, judgement: Judgement) -> AsyncIterator[World]:
    store = await FailingStore.open(f"sqlite+aiosqlite:///{tmp_path}/ajrd.sqlite")
    assert isinstance(store, FailingStore)
    yield World(store, judgement)
    await store.close()


async def begun(world: World) -> Run:
    """A requeue that is decided and not begun."""
    job_id = world.slurm.submit(comment=COMMENT)
    world.slurm.schedule()
    await world.turn()
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(3)
    await world.turn()
    [(run, _watched)] = world.recovery.runs
    return run


async def step(world: World, run: Run) -> Move:
    return await world.recovery._driver.step(run)


async def step_to(world: World, run: Run, wanted: Move) -> None:
    """Steps until a move is made, while Slurm works."""
    for _ in range(20):
        if await step(world, run) == wanted:
            return
        world.clock.pass_by(0.5)
        world.slurm.schedule()
    pytest.fail(f"{wanted} was not made")


async def decision(world: World, run: Run) -> DecisionRecord:
    record = await world.store.decision(run.attempt.id)
    assert record is not None
    return record


async def action(world: World, run: Run, wanted: Step) -> ActionRecord:
    return next(a for a in (await decision(world, run)).actions if a.step is wanted)


def mark(world: World, run: Run) -> Mark | None:
    seen = world.seen(run.job.job_id)
    return read_mark(seen.admin_comment) if seen else None


@pytest.mark.parametrize("code", PASSING)
async def test_a_kill_that_is_refused_for_ever_is_given_up(world: World, code: Refusal) -> None:
    """The mark in AdminComment then promises no hold: one that comes later is not ajrd's."""
    run = await begun(world)
    await step_to(world, run, Do(Step.ANNOUNCE))
    announced = mark(world, run)
    assert announced is not None
    assert announced.hold_deadline is not None
    for _ in range(MAX_TRIES):
        world.slurm.fail_next("requeue_hold", SlurmRejected("not now", code))
    moves = [await step(world, run) for _ in range(MAX_TRIES)]
    assert all(isinstance(move, Wait) for move in moves[:-1])
    assert moves[-1] == End(DecisionState.ABANDONED, Outcome.REFUSED_BY_SLURM)
    after = await decision(world, run)
    assert (after.state, after.outcome, after.detail) == (
        DecisionState.ABANDONED,
        "refused_by_slurm",
        "not now",
    )
    kill = await action(world, run, Step.REQUEUE_HOLD)
    assert (kill.state, kill.tries) == (ActionState.FAILED, MAX_TRIES)
    left = mark(world, run)
    assert left is not None
    assert left.hold_deadline is None


async def test_a_refusal_that_passes_costs_nothing_but_tries(world: World) -> None:
    run = await begun(world)
    for code in PASSING * ((MAX_TRIES - 1) // 2):
        world.slurm.fail_next("requeue_hold", SlurmRejected("not now", code))
    for _ in range(MAX_TRIES - 1):
        await step(world, run)
    await step_to(world, run, Do(Step.REQUEUE_HOLD))
    assert world.slurm.requeued == [(run.job.job_id, 0)]


async def test_a_refusal_that_cannot_pass_is_not_tried_again(world: World) -> None:
    run = await begun(world)
    world.slurm.fail_next("requeue_hold", SlurmRejected("no", Refusal.REQUEUE_DISABLED))
    await step_to(world, run, End(DecisionState.ABANDONED, Outcome.REFUSED_BY_SLURM))
    assert (await action(world, run, Step.REQUEUE_HOLD)).tries == 1


async def test_a_kill_that_was_carried_out_late_is_ours_though_its_repetition_is_refused(
    world: World,
) -> None:
    """A controller that was frozen answers the look before the command that it had received."""
    run = await begun(world)
    world.slurm.fail_next("requeue_hold", SlurmUnavailable("no answer"))
    refusal = SlurmRejected("Job is pending execution", Refusal.WRONG_STATE)
    world.slurm.fail_next("requeue_hold", refusal, after=True)
    await step_to(world, run, End(DecisionState.CONVERGED, Outcome.SUCCESSOR_STARTED))
    assert world.slurm.requeued == [(run.job.job_id, 0)]


@pytest.mark.parametrize(
    ("saved", "last"),
    [
        (Step.ANNOUNCE, Step.REQUEUE_HOLD),
        (Step.ANNOUNCE, Step.UPDATE),
        (Step.ANNOUNCE, Step.RELEASE),
        (Step.REQUEUE_HOLD, Step.UPDATE),
        (Step.REQUEUE_HOLD, Step.RELEASE),
        (Step.UPDATE, Step.RELEASE),
    ],
)
async def test_what_a_slurmctld_that_died_has_forgotten_is_done_again(
    world: World, saved: Step, last: Step
) -> None:
    """The successor starts as soon as ever, not two minutes later."""
    run = await begun(world)
    await step_to(world, run, Do(saved))
    world.clock.pass_by(0.2)
    before = world.seen(run.job.job_id)
    assert before is not None
    await step_to(world, run, Do(last))
    world.slurm._own_record(run.job.job_id).info = before
    await step_to(world, run, End(DecisionState.CONVERGED, Outcome.SUCCESSOR_STARTED))
    assert len(world.slurm.requeued) == 1 + (saved is Step.ANNOUNCE)
    seen = world.seen(run.job.job_id)
    assert seen is not None
    assert (seen.state, seen.restarts) == (JobState.RUNNING, 1)


@pytest.mark.parametrize("code", [*PASSING, Refusal.INVALID])
async def test_a_release_is_never_given_up(world: World, code: Refusal) -> None:
    run = await begun(world)
    await step_to(world, run, Do(Step.UPDATE))
    for _ in range(MAX_TRIES + 10):
        world.slurm.fail_next("release", SlurmRejected("not now", code))
        assert isinstance(await step(world, run), Wait)
    seen = world.seen(run.job.job_id)
    assert seen is not None
    assert seen.held is HoldBy.REQUEUE_HOLD
    await step_to(world, run, End(DecisionState.CONVERGED, Outcome.SUCCESSOR_STARTED))
    assert (await action(world, run, Step.RELEASE)).tries == MAX_TRIES + 11


@pytest.mark.parametrize("which", [Step.ANNOUNCE, Step.UPDATE])
async def test_a_refused_update_does_not_stop_the_recovery(world: World, which: Step) -> None:
    run = await begun(world)
    if which is Step.UPDATE:
        await step_to(world, run, Do(Step.REQUEUE_HOLD))
    world.slurm.fail_next("update", SlurmRejected("no", Refusal.INVALID))
    await step_to(world, run, Do(which))
    if which is Step.UPDATE:
        await step_to(world, run, Do(Step.RELEASE))
        world.clock.pass_by(121)
    await step_to(world, run, End(DecisionState.CONVERGED, Outcome.SUCCESSOR_STARTED))
    assert (await action(world, run, which)).state is ActionState.FAILED


@pytest.mark.parametrize("which", [Step.ANNOUNCE, Step.UPDATE])
async def test_an_update_that_is_not_permitted_for_a_while_is_made_all_the_same(
    world: World, which: Step
) -> None:
    run = await begun(world)
    if which is Step.UPDATE:
        await step_to(world, run, Do(Step.REQUEUE_HOLD))
    for _ in range(5):
        world.slurm.fail_next("update", SlurmRejected("not now", Refusal.NOT_PERMITTED))
    await step_to(world, run, Do(which))
    made = await action(world, run, which)
    assert (made.state, made.tries) == (ActionState.DONE, 6)


async def test_a_controller_that_is_away_uses_up_no_tries(world: World) -> None:
    run = await begun(world)
    await step_to(world, run, Do(Step.ANNOUNCE))
    for _ in range(2 * MAX_TRIES):
        world.slurm.fail_next("job", SlurmUnavailable("away"))
        assert isinstance(await step(world, run), Wait)
    assert (await action(world, run, Step.REQUEUE_HOLD)).tries == 0
    assert (await decision(world, run)).state is DecisionState.OPEN


async def test_waits_grow_are_spread_and_stay_short(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 20 ms on, half as long again each time, to 2 s; each a fifth longer or shorter."""
    run = await begun(world)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("ajrd.recovery.driver.asyncio.sleep", sleep)
    for _ in range(MAX_TRIES):
        world.slurm.fail_next("job", SlurmUnavailable("away"))
    for _ in range(MAX_TRIES):
        world.slurm.fail_next("requeue_hold", SlurmRejected("not now", Refusal.WRONG_STATE))
    async with asyncio.timeout(20):
        await world.recovery._driver.drive(run)
    growing = [min(QUICK * 1.5**row, SLOW) for row in range(1, MAX_TRIES)]
    pairs = list(zip(slept, growing, strict=False))
    assert all(0.8 * wanted <= seconds <= 1.2 * wanted for seconds, wanted in pairs)
    assert max(slept) <= 1.2 * SLOW
    assert len(set(slept)) == len(slept)
    seen = world.seen(run.job.job_id)
    assert seen is not None
    assert (seen.state, seen.restarts) == (JobState.RUNNING, 0)
