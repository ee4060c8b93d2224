"""What every implementation of the Slurm protocol must do: memory, commands, pyslurm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ClusterShell.NodeSet import NodeSet

from ajrd.errors import SlurmRejected
from ajrd.model import HoldBy, JobInfo, JobState
from ajrd.slurm.base import JobUpdate, Refusal
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.native import PyslurmSlurm, native_available
from tests.slurm.drivers import ClusterDriver, Driver, MemoryDriver, running, until

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["memory", "cli", "pyslurm"])
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    if request.param == "memory":
        yield MemoryDriver()
        return
    lab: Any = request.getfixturevalue("lab")
    slurm: CliSlurm | PyslurmSlurm = CliSlurm(str(lab.conf))
    if request.param == "pyslurm":
        obstacle = await native_available((await slurm.cluster()).version, str(lab.conf))
        if obstacle:
            pytest.skip(obstacle)
        slurm = PyslurmSlurm(str(lab.conf))
    cluster = ClusterDriver(slurm, lab.env, tmp_path)
    yield cluster
    cluster.end()
    await slurm.close()


def held_again(job: JobInfo) -> bool:
    return job.held is HoldBy.REQUEUE_HOLD and not job.completing


async def refusal(call: Any) -> Refusal:
    with pytest.raises(SlurmRejected) as caught:
        await call
    return Refusal(caught.value.code)


async def test_a_running_job_shows_what_its_owner_wrote_letter_by_letter(driver: Driver) -> None:
    name, comment = "two\nJobId=1 UserId=root(0)", 'x|,"é"\nStdOut=/etc/shadow Restarts=9 '
    job_id = await driver.submit(name=name, comment=comment)
    job = await running(driver, job_id)
    assert (job.name, job.comment, job.job_id, job.restarts) == (name, comment, job_id, 0)
    assert (job.batch, job.requeue, job.held) == (True, True, HoldBy.NOBODY)
    assert job.nodes
    assert job.start_time is not None
    assert job.std_out.endswith(f"/slurm-{job_id}.out")


async def test_a_long_comment_is_not_cut(driver: Driver) -> None:
    comment = "x" * 900
    job = await driver.slurm.job(await driver.submit(comment=comment, hold=True))
    assert job is not None
    assert job.comment == comment


async def test_an_unknown_job_is_an_answer(driver: Driver) -> None:
    assert await driver.slurm.job("987654") is None
    assert await driver.slurm.steps("987654") == []


async def test_an_unknown_job_is_refused_by_every_command(driver: Driver) -> None:
    slurm = driver.slurm
    for call in (slurm.requeue, slurm.requeue_hold, slurm.hold, slurm.release, slurm.cancel):
        assert await refusal(call("987654")) is Refusal.UNKNOWN_JOB
    change = JobUpdate(admin_comment="x")
    assert await refusal(slurm.update("987654", change)) is Refusal.UNKNOWN_JOB


async def test_the_list_and_the_single_look_agree(driver: Driver) -> None:
    job_id = await driver.submit(hold=True)
    alone = await driver.slurm.job(job_id)
    assert alone in await driver.slurm.jobs()


async def test_requeue_hold_counts_at_once_and_never_looks_like_an_end(driver: Driver) -> None:
    job_id = await driver.submit()
    first = await running(driver, job_id)
    await driver.slurm.requeue_hold(job_id)
    views: list[JobInfo] = []
    after = await until(driver, job_id, held_again, views)
    assert {(view.state, view.restarts) for view in views} == {(JobState.PENDING, 1)}
    assert after.submit_time >= first.submit_time
    assert after.nodes == ""


async def test_a_job_released_after_requeue_waits_two_minutes(driver: Driver) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.slurm.requeue_hold(job_id)
    held = await until(driver, job_id, held_again)
    await driver.slurm.release(job_id)
    waiting = await until(driver, job_id, lambda job: job.reason == "BeginTime")
    assert waiting.held is HoldBy.NOBODY
    assert waiting.eligible_time is not None
    assert waiting.eligible_time - held.submit_time >= timedelta(seconds=120)


async def test_update_and_release_start_the_successor_elsewhere_at_once(driver: Driver) -> None:
    job_id = await driver.submit()
    first = await running(driver, job_id)
    await driver.slurm.requeue_hold(job_id)
    held = await until(driver, job_id, held_again)
    text = 'crashed: "segfault" at step=7\nStartTime=never'
    change = JobUpdate(
        start_at=held.submit_time + timedelta(seconds=1),
        exclude_nodes="n5,n6",
        admin_comment=text,
    )
    await driver.slurm.update(job_id, change)
    still = await until(driver, job_id, held_again)
    assert still.admin_comment == text
    assert NodeSet(still.exclude_nodes) == NodeSet("n5,n6")
    await driver.slurm.release(job_id)
    second = await running(driver, job_id)
    assert (second.restarts, second.admin_comment) == (1, text)
    assert second.start_time is not None
    assert first.start_time is not None
    assert second.start_time >= first.start_time
    assert second.nodes not in ("n5", "n6")


async def test_exclude_nodes_can_be_taken_back(driver: Driver) -> None:
    job_id = await driver.submit(hold=True)
    await driver.slurm.update(job_id, JobUpdate(exclude_nodes="n1"))
    await until(driver, job_id, lambda job: job.exclude_nodes == "n1")
    await driver.slurm.update(job_id, JobUpdate(exclude_nodes=""))
    await until(driver, job_id, lambda job: job.exclude_nodes == "")


async def test_the_three_holds_are_told_apart(driver: Driver) -> None:
    user, admin = await driver.submit(hold=True), await driver.submit()
    await running(driver, admin)
    await driver.slurm.requeue_hold(admin)
    ours = await until(driver, admin, held_again)
    users = await until(driver, user, lambda job: job.held is HoldBy.USER)
    await driver.slurm.hold(admin)
    theirs = await until(driver, admin, lambda job: job.held is HoldBy.ADMIN)
    assert (ours.restarts, users.restarts, theirs.restarts) == (1, 0, 1)


async def test_the_owner_can_hold_what_is_pending(driver: Driver) -> None:
    job_id = await driver.submit(hold=True)
    await driver.slurm.hold(job_id)
    await until(driver, job_id, lambda job: job.held is HoldBy.ADMIN)
    await driver.user_hold(job_id)
    await until(driver, job_id, lambda job: job.held is HoldBy.USER)


async def test_a_pending_job_cannot_be_requeued(driver: Driver) -> None:
    job_id = await driver.submit(hold=True)
    assert await refusal(driver.slurm.requeue_hold(job_id)) is Refusal.WRONG_STATE


async def test_a_requeue_on_top_of_a_requeue_is_refused(driver: Driver) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.slurm.requeue_hold(job_id)
    assert await refusal(driver.slurm.requeue_hold(job_id)) is Refusal.WRONG_STATE
    assert (await until(driver, job_id, held_again)).restarts == 1


async def test_a_job_that_forbids_requeue_runs_on(driver: Driver) -> None:
    job_id = await driver.submit(requeue=False)
    await running(driver, job_id)
    assert await refusal(driver.slurm.requeue_hold(job_id)) is Refusal.REQUEUE_DISABLED
    job = await driver.slurm.job(job_id)
    assert job is not None
    assert (job.state, job.requeue, job.restarts) == (JobState.RUNNING, False, 0)


async def test_a_failed_job_takes_no_update_but_a_requeue(driver: Driver) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.fail(job_id, 3)
    ended = await until(driver, job_id, lambda job: job.state.ended and not job.completing)
    assert (ended.state, ended.exit_code, ended.signal) == (JobState.FAILED, 3, 0)
    change = JobUpdate(admin_comment="too late")
    assert await refusal(driver.slurm.update(job_id, change)) is Refusal.WRONG_STATE
    await driver.slurm.requeue_hold(job_id)
    assert (await until(driver, job_id, held_again)).restarts == 1


@pytest.mark.parametrize("code", [3, 11, 128, 139])
async def test_an_exit_code_is_shown_as_it_is(driver: Driver, code: int) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.fail(job_id, code)
    ended = await until(driver, job_id, lambda job: job.state.ended and not job.completing)
    assert (ended.state, ended.exit_code, ended.signal) == (JobState.FAILED, code, 0)
    assert ended in await driver.slurm.jobs()


async def test_an_update_changes_nothing_else(driver: Driver) -> None:
    job_id = await driver.submit(name="kept", comment="kept too", hold=True)
    before = await driver.slurm.job(job_id)
    assert before is not None
    await driver.slurm.update(job_id, JobUpdate(admin_comment="seen"))
    assert await driver.slurm.job(job_id) == replace(before, admin_comment="seen")


async def test_admin_comment_can_be_written_while_the_job_runs(driver: Driver) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.slurm.update(job_id, JobUpdate(admin_comment="seen"))
    job = await driver.slurm.job(job_id)
    assert job is not None
    assert job.admin_comment == "seen"


@pytest.mark.parametrize("change", [JobUpdate(start_at=NEW_YEAR), JobUpdate(exclude_nodes="n1")])
async def test_start_and_nodes_of_a_running_job_cannot_change(
    driver: Driver, change: JobUpdate
) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    assert await refusal(driver.slurm.update(job_id, change)) is Refusal.WRONG_STATE


async def test_a_cancelled_job_stays_cancelled_when_cancelled_again(driver: Driver) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.slurm.cancel(job_id)
    views: list[JobInfo] = []
    await until(driver, job_id, lambda job: job.state.ended and not job.completing, views)
    await driver.slurm.cancel(job_id)
    assert {view.state for view in views} <= {JobState.CANCELLED}


async def test_one_array_task_is_requeued_alone(driver: Driver) -> None:
    array = await driver.submit(array=(1, 2, 3, 4), hold=True)
    for task in ("1", "2"):
        await driver.slurm.release(f"{array}_{task}")
        await running(driver, f"{array}_{task}")
    await driver.slurm.requeue_hold(f"{array}_1")
    first = await until(driver, f"{array}_1", held_again)
    second = await driver.slurm.job(f"{array}_2")
    assert second is not None
    assert (first.restarts, second.restarts, second.state) == (1, 0, JobState.RUNNING)
    assert first.raw_id != second.raw_id
    assert first.array_job_id == second.array_job_id == int(array)
    listed = {job.job_id: job.restarts for job in await driver.slurm.jobs()}
    assert listed[f"{array}_1"] == 1
    assert listed[f"{array}_2"] == 0


@pytest.mark.parametrize("last", ["cancel", "requeue_hold"])
async def test_the_last_task_of_an_array_is_not_the_array(driver: Driver, last: str) -> None:
    """It keeps the record of the array, so its number means the array as well."""
    array = await driver.submit(array=(0, 1))
    for task in ("0", "1"):
        await running(driver, f"{array}_{task}")
    await getattr(driver.slurm, last)(f"{array}_1")
    after = await until(driver, f"{array}_1", lambda job: not job.completing)
    assert after.state is (JobState.CANCELLED if last == "cancel" else JobState.PENDING)
    listed = {job.job_id: job for job in await driver.slurm.jobs()}
    assert listed[f"{array}_1"] == after
    zero = listed[f"{array}_0"]
    assert (zero.state, zero.restarts, zero.array_pending) == (JobState.RUNNING, 0, False)


async def test_tasks_that_wait_share_one_record(driver: Driver) -> None:
    array = await driver.submit(array=(1, 2, 3), hold=True)
    (shared,) = [job for job in await driver.slurm.jobs() if job.array_job_id == int(array)]
    task = await driver.slurm.job(f"{array}_2")
    assert shared.array_pending
    assert task is not None
    assert (task.job_id, task.state) == (f"{array}_2", JobState.PENDING)
    assert await driver.slurm.job(f"{array}_9") is None


async def test_a_finished_job_is_forgotten_after_its_time(driver: Driver) -> None:
    job_id = await driver.submit()
    await running(driver, job_id)
    await driver.slurm.cancel(job_id)
    await until(driver, job_id, lambda job: job.state.ended and not job.completing)
    age = (await driver.slurm.cluster()).min_job_age
    if not await driver.time_passes(age + 1):
        pytest.skip("MinJobAge of a real cluster is too long to wait for")
    assert await driver.slurm.job(job_id) is None
    assert await driver.slurm.jobs() == []
