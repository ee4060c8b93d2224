"""Which holds the watchdog takes for ajrd's, when it releases them, and what it stands on."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import HoldBy, JobInfo, JobState
from ajrd.slurm.admin_comment import Mark, read_mark
from ajrd.slurm.base import JobUpdate, Refusal
from ajrd.slurm.holds import Hold, own_hold
from ajrd.slurm.memory import MemorySlurm
from ajrd.watchdog import Patience, Watchdog, watched_since
from tests.unit.samples import at, job

MARK = str(Mark(0, at(100), "CRASH segfault: requeue 1 of 1"))
HELD: dict[str, Any] = {
    "state": JobState.PENDING,
    "held": HoldBy.REQUEUE_HOLD,
    "restarts": 1,
    "admin_comment": MARK,
}
HOLD = Hold("7", 1, at(0), at(100))


def test_a_requeue_hold_with_the_mark_of_the_attempt_before_is_ajrds() -> None:
    hold = own_hold(job(**HELD))
    assert hold == HOLD
    assert hold.deadline == at(100)


@pytest.mark.parametrize(
    "other",
    [
        {"held": HoldBy.USER},
        {"held": HoldBy.ADMIN},
        {"held": HoldBy.NOBODY},
        {"completing": True},
        {"state": JobState.RUNNING},
        {"state": JobState.CANCELLED},
        {"admin_comment": ""},
        {"admin_comment": "ask Bob first"},
        {"admin_comment": str(Mark(0, None, "stopped"))},
        {"restarts": 0},
        {"restarts": 2},
        {"admin_comment": "[ajrd a0 hold<99999999999999999999 no time]"},
    ],
)
def test_no_other_hold_is(other: dict[str, Any]) -> None:
    assert own_hold(job(**(HELD | other))) is None


def test_the_latest_time_that_a_mark_may_tell_is_one_that_python_knows() -> None:
    mark = read_mark("[ajrd a999999999 n0 hold<99999999999 by - far away]")
    assert mark is not None
    assert mark.hold_deadline is not None


@pytest.mark.parametrize(
    ("now", "watched", "over"),
    [
        (at(0), 0, False),
        (at(100), 0, False),
        (at(129.9), 0, False),
        (at(130), 0, True),
        (at(-3600), 150, False),
        (at(-3600), 150.1, True),
        (at(3600), 0, True),
    ],
)
def test_a_hold_is_over_by_its_deadline_or_by_having_been_watched(
    now: datetime, watched: float, over: bool
) -> None:
    assert bool(Patience(hold_limit=120, grace=30).over(HOLD, now, watched)) is over


@pytest.mark.parametrize(
    ("change", "since"),
    [({}, 5.0), ({"restarts": 2}, 9.0), ({"submit_time": at(1)}, 9.0), ({"job_id": "8"}, 9.0)],
)
def test_only_the_very_same_hold_was_watched_before(change: dict[str, Any], since: float) -> None:
    before = {HOLD: 5.0}
    attempt = change.get("restarts", 1) - 1
    seen = job(**(HELD | {"admin_comment": str(Mark(attempt, at(100), "x"))} | change))
    assert list(watched_since([seen], before, 9.0).values()) == [since]


def test_a_hold_that_was_not_there_at_one_look_is_watched_anew() -> None:
    gone = watched_since([job()], {HOLD: 5.0}, 7.0)
    assert watched_since([job(**HELD)], gone, 9.0) == {HOLD: 9.0}


# against a Slurm in memory


class World:
    """A job that ajrd holds until 120 s have passed, and a watchdog with clocks of its own."""

    def __init__(self, *, dry_run: bool = False, slurm: type[MemorySlurm] = MemorySlurm) -> None:
        self.time = at(0)
        self.offset = timedelta(0)
        self.ticks = 0.0
        self.slurm = slurm(lambda: self.time)
        self.dog = Watchdog(
            self.slurm,
            Patience(hold_limit=120, grace=30),
            dry_run=dry_run,
            clock=lambda: self.time + self.offset,
            monotonic=lambda: self.ticks,
        )

    async def held_job(self) -> str:
        job_id = self.slurm.submit()
        self.slurm.start(job_id)
        mark = Mark(0, at(120), "CRASH segfault: requeue 1 of 1")
        await self.slurm.update(job_id, JobUpdate(admin_comment=str(mark)))
        await self.slurm.requeue_hold(job_id)
        self.pass_seconds(5)
        self.slurm.calls.clear()
        return job_id

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.ticks += seconds

    async def state(self, job_id: str) -> tuple[JobState, HoldBy]:
        self.slurm.schedule()
        seen = await self.slurm.job(job_id)
        assert seen is not None
        return seen.state, seen.held


HELD_BY_US = (JobState.PENDING, HoldBy.REQUEUE_HOLD)
RUNS = (JobState.RUNNING, HoldBy.NOBODY)


async def test_a_hold_is_left_alone_until_its_deadline_and_the_grace_have_passed() -> None:
    world = World()
    job_id = await world.held_job()
    world.pass_seconds(144)
    assert await world.dog.look()
    assert await world.state(job_id) == HELD_BY_US
    world.pass_seconds(1)
    assert await world.dog.look()
    assert await world.state(job_id) == RUNS
    assert world.slurm.calls == [("update", job_id), ("release", job_id)]


async def test_a_clock_that_is_far_behind_keeps_nothing_held() -> None:
    world = World()
    world.offset = timedelta(days=-1)
    job_id = await world.held_job()
    for _ in range(17):
        assert await world.state(job_id) == HELD_BY_US
        await world.dog.look()
        world.pass_seconds(10)
    assert await world.state(job_id) == RUNS


async def test_a_dry_run_only_says_what_it_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(dry_run=True)
    job_id = await world.held_job()
    world.pass_seconds(500)
    assert await world.dog.look()
    assert world.slurm.calls == []
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["job"]) == ("would_release", job_id)


async def test_the_job_is_released_although_its_update_is_refused() -> None:
    for error in (SlurmRejected("no", Refusal.NOT_PERMITTED), SlurmUnavailable("late")):
        world = World()
        job_id = await world.held_job()
        world.pass_seconds(500)
        world.slurm.fail_next("update", error)
        assert await world.dog.look()
        assert (await world.state(job_id))[1] is HoldBy.NOBODY


async def test_a_silent_slurm_is_unknown_and_asked_again() -> None:
    world = World()
    job_id = await world.held_job()
    world.pass_seconds(500)
    for call in ("jobs", "job", "release"):
        world.slurm.fail_next(call, SlurmUnavailable("no answer"))
        assert not await world.dog.look()
        assert await world.state(job_id) == HELD_BY_US
    assert await world.dog.look()
    assert await world.state(job_id) == RUNS


async def test_a_release_that_is_refused_does_not_keep_others_held() -> None:
    world = World()
    jobs = [await world.held_job(), await world.held_job()]
    world.pass_seconds(500)
    world.slurm.fail_next("release", SlurmRejected("no", Refusal.NOT_PERMITTED))
    assert await world.dog.look()
    assert [(await world.state(job_id))[1] for job_id in jobs] == [
        HoldBy.REQUEUE_HOLD,
        HoldBy.NOBODY,
    ]


class TakenInHand(MemorySlurm):
    """An administrator holds every job right after it was listed."""

    async def jobs(self) -> list[JobInfo]:
        listed = await super().jobs()
        for seen in listed:
            self.admin_hold(seen.job_id)
        return listed


async def test_a_job_that_an_administrator_took_in_hand_meanwhile_is_not_released() -> None:
    world = World(slurm=TakenInHand)
    job_id = await world.held_job()
    world.pass_seconds(500)
    assert await world.dog.look()
    assert world.slurm.calls == []
    assert await world.state(job_id) == (JobState.PENDING, HoldBy.ADMIN)


# the command


def test_a_slurm_that_never_answers_holds_it_up_no_longer_than_its_time_limit(
    tmp_path: Path,
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\nexec sleep 600\n")
    scontrol.chmod(0o755)
    argv = [sys.executable, "-m", "ajrd", "watchdog", "--once"]
    done = subprocess.run(
        [*argv, "--bin-dir", str(tmp_path), "--timeout", "0.2"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "gave no answer within 0.2 s" in json.loads(done.stderr)["why"]


def test_it_works_without_the_rest_of_ajrd_and_says_so_when_slurm_is_silent() -> None:
    """Whatever is broken in the service's parts, their imports included, must not stop it."""
    program = (
        "import sys\n"
        "from ajrd.cli.main import cli\n"
        "try:\n"
        "    cli.main(['watchdog', '--once', '--bin-dir', '/nowhere'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    code, *modules = done.stdout.split()
    assert code == "3"
    assert json.loads(done.stderr)["event"] == "slurm_silent"
    ours = {name for name in modules if name.startswith("ajrd.") and name.count(".") == 1}
    assert ours == {
        "ajrd." + n for n in ("cli", "errors", "model", "priority", "sdnotify", "slurm", "watchdog")
    }
    assert not {"sqlalchemy", "pydantic", "yaml", "structlog", "aiohttp"} & set(modules)
