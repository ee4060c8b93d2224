"""The invariants of recovery under arbitrary interleavings of everything that may happen."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ajrd.errors import SlurmUnavailable
from ajrd.judgement import Judgement
from ajrd.model import HoldBy, JobState, RequestState, RequestVerb
from ajrd.policy.directive import Limits
from ajrd.slurm.admin_comment import read_mark
from ajrd.store.store import Store
from tests.unit.recovery_world import GRACE, World

AWAY = SlurmUnavailable("the test says so")
OPERATIONS = ("jobs", "job", "update", "requeue_hold", "release", "cancel")
MOST = 2


def comment(times: int) -> str:
    return f'{{"APS": {{"auto_resume_mode": "requeue", "max_requeue_times": {times}}}}}'


class RecoveryMachine(RuleBasedStateMachine):
    """Jobs, users, faults and one ajrd, in any order."""

    judgement: Judgement
    template: Path

    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm")
        self.runner = asyncio.Runner()
        path = Path(self.folder.name) / "ajrd.sqlite"
        self.world: World = self.runner.run(World.make(self.template, path, self.judgement))
        self.budgets: dict[str, int] = {}
        self.by_operators: set[str] = set()
        self.abandoned: set[str] = set()
        self.meddled: set[str] = set()

    def do(self, work: Any) -> None:
        self.runner.run(work)

    # what users do

    @rule(target=jobs, times=st.integers(0, MOST))
    def submit(self, times: int) -> str:
        job_id = self.world.slurm.submit(comment=comment(times))
        self.budgets[job_id] = times
        self.world.slurm.schedule()
        return job_id

    @rule(target=jobs)
    def submit_without_directive(self) -> str:
        job_id = self.world.slurm.submit(comment="")
        self.world.slurm.untouchable.add(job_id)
        self.meddled.add(job_id)
        self.world.slurm.schedule()
        return job_id

    @rule(job=jobs)
    def crash(self, job: str) -> None:
        self.world.crash(job)

    @rule(job=jobs, state=st.sampled_from([JobState.FAILED, JobState.NODE_FAIL]))
    def end_by_itself(self, job: str, state: JobState) -> None:
        seen = self.world.seen(job)
        if seen and seen.state is JobState.RUNNING:
            self.world.slurm.finish(job, state, exit_code=139)

    @rule(job=consumes(jobs))
    def complete(self, job: str) -> None:
        seen = self.world.seen(job)
        if seen and seen.state is JobState.RUNNING:
            self.meddled.add(job)
            self.world.slurm.finish(job)

    @rule(
        job=jobs,
        act=st.sampled_from(["user_cancel", "user_hold", "admin_hold", "admin_requeue"]),
    )
    def meddle(self, job: str, act: str) -> None:
        self.meddled.add(job)
        self.world.try_as_user(act, job)

    @precondition(lambda self: not self.world.store.away)
    @rule(job=jobs, verb=st.sampled_from(list(RequestVerb)), by=st.sampled_from(["alice", "root"]))
    def ask(self, job: str, verb: RequestVerb, by: str) -> None:
        if verb is RequestVerb.ABANDON:
            self.abandoned.add(job)
        if verb is RequestVerb.REQUEUE and by == "root":
            self.by_operators.add(job)
        self.do(self.world.ask(job, verb, by))

    @precondition(lambda self: not self.world.store.away)
    @rule(job=jobs)
    def crash_while_paused(self, job: str) -> None:
        self.do(self.world.ask(job, RequestVerb.PAUSE, "alice"))
        self.do(self.world.go_on(1))
        self.world.crash(job)
        self.do(self.world.go_on(4))

    # what happens by itself

    @rule(seconds=st.sampled_from([0.02, 0.3, 1.0, 2.5]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.pass_by(seconds)

    @rule()
    def schedule(self) -> None:
        self.world.slurm.schedule()

    @rule()
    def turn(self) -> None:
        self.do(self.world.turn())

    @rule(number=st.integers(0, 5), times=st.integers(1, 3))
    def step(self, number: int, times: int) -> None:
        for _ in range(times):
            self.do(self.world.recovery.step(number))

    @rule(seconds=st.sampled_from([2, 6]))
    def a_while(self, seconds: float) -> None:
        self.do(self.world.go_on(seconds))

    @rule()
    def watchdog(self) -> None:
        self.do(self.world.watchdog.look())

    # what goes wrong

    @rule(operation=st.sampled_from(OPERATIONS), after=st.booleans())
    def slurm_fails(self, operation: str, after: bool) -> None:
        self.world.slurm.fail_next(operation, AWAY, after=after)

    @rule(moment=st.sampled_from(["before", "after", "read"]))
    def store_fails(self, moment: str) -> None:
        self.world.store.failing = moment

    @rule()
    def store_goes_away(self) -> None:
        self.world.store.away = True

    @precondition(lambda self: self.world.store.away)
    @rule()
    def the_grace_passes(self) -> None:
        self.do(self.world.turn())
        self.world.clock.pass_by(GRACE + 1)
        self.do(self.world.go_on(8))

    @precondition(lambda self: self.world.store.away)
    @rule()
    def store_comes_back(self) -> None:
        self.world.store.away = False

    @rule()
    def kill_9(self) -> None:
        """It starts again only when its database is there."""
        self.world.kill()
        self.world.store.away = False
        self.world.start()

    # what must hold

    @invariant()
    def nobody_is_requeued_beyond_the_budget(self) -> None:
        for job, times in self.budgets.items():
            done = [key for key in self.world.slurm.requeued if key[0] == job]
            most = Limits().ceiling if job in self.by_operators else times
            assert len(done) <= most, f"job {job} was requeued {len(done)} of {most} times"

    @invariant()
    def an_attempt_is_acted_on_once(self) -> None:
        done = self.world.slurm.requeued + self.world.slurm.cancelled
        assert len(done) == len(set(done)), f"acted on twice: {done}"

    @invariant()
    def nobody_is_touched_who_must_not_be(self) -> None:
        assert self.world.slurm.trespasses == []

    @invariant()
    def only_broken_attempts_are_ended(self) -> None:
        for job, restarts in self.world.slurm.cancelled:
            assert (job, restarts) in self.world.lines, f"job {job} attempt {restarts} was well"

    def teardown(self) -> None:
        """When all faults are over, what was wanted happens and nobody stays held."""
        try:
            self.heal()
        finally:
            self.world.kill()
            self.do(self.world.store.close())
            self.runner.close()
            self.folder.cleanup()

    def heal(self) -> None:
        self.world.store.away, self.world.store.failing = False, None
        self.world.slurm._failures.clear()
        self.do(self.world.go_on(3))
        self.do(self.nothing_was_decided_during_a_pause())
        for job in self.budgets:
            self.do(self.world.ask(job, RequestVerb.RESUME))
        self.do(self.world.go_on(12))
        self.do(self.world.go_on(150, step=30))
        for job in self.budgets:
            self.is_as_wanted(job)

        self.do(self.everybody_has_an_answer())

    async def nothing_was_decided_during_a_pause(self) -> None:
        answers = (await self.world.answers()).values()
        done = [answer for answer in answers if answer.state is RequestState.DONE]
        for pause in (answer for answer in done if answer.verb is RequestVerb.PAUSE):
            ends = [a.done_at for a in done if a.job == pause.job and a.verb is RequestVerb.RESUME]
            assert pause.done_at is not None
            end = min((at for at in ends if at and at >= pause.done_at), default=None)
            for attempt in await self.world.store.attempts(pause.job):
                made = await self.world.store.decision(attempt.id)
                within = made and pause.done_at < made.created_at < (end or self.world.clock.at)
                assert not within, f"decided during a pause: {made}"

    async def everybody_has_an_answer(self) -> None:
        left = [a for a in (await self.world.answers()).values() if a.state is RequestState.OPEN]
        assert left == [], "requests are left open"

    def is_as_wanted(self, job: str) -> None:
        seen = self.world.seen(job)
        if seen is None:
            return
        mark = read_mark(seen.admin_comment)
        ours = mark is not None and mark.attempt == seen.restarts - 1
        assert not (seen.held is HoldBy.REQUEUE_HOLD and ours), f"left held: {seen}"
        if job in self.meddled:
            return
        assert self.world.recovery.runs == [], "decisions are left open"
        if job in self.abandoned:
            return
        broken = (job, seen.restarts) in self.world.lines
        assert not (broken and seen.state is JobState.RUNNING), f"not recovered: {seen}"
        ended = seen.state in (JobState.FAILED, JobState.NODE_FAIL)
        left = seen.restarts < self.budgets[job]
        assert not (ended and left), f"not requeued: {seen}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ajrd.sqlite"

    async def make() -> None:
        store = await Store.open(f"sqlite+aiosqlite:///{path}")
        await store.close()

    asyncio.run(make())
    return path


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hundred thousand lines of log would only hide the story of a failure."""
    monkeypatch.setattr("ajrd.watchdog.say", lambda *_args, **_facts: None)
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def run_machine(template: Path, examples: int) -> None:
    RecoveryMachine.template = template
    RecoveryMachine.judgement = Judgement([])
    quick = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(RecoveryMachine, settings=quick)


def test_the_invariants_hold_whatever_happens_when(template: Path, quiet: None) -> None:
    run_machine(template, 220)


@pytest.mark.full
def test_the_invariants_hold_for_long(template: Path, quiet: None) -> None:
    run_machine(template, 5000)
