"""What people ask for, carried out: each verb, its refusals, crashes and outages in between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ajrd.errors import NotLeader, SlurmUnavailable
from ajrd.model import DecisionState, HoldBy, JobState, RequestState, Verb
from ajrd.policy.eligibility import Site
from ajrd.policy.evidence import Pulse
from ajrd.recovery.leadership import Alone
from ajrd.recovery.settings import Settings
from ajrd.slurm.admin_comment import Mark, read_mark, with_mark
from ajrd.slurm.memory import MemorySlurm
from ajrd.store.queries import Query
from ajrd.store.records import DecisionRecord, RequestRecord
from ajrd.store.schema import requests as table
from tests.unit.recovery_world import GRACE, FailingStore, World

ONCE = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'


async def running(world: World, comment: str = ONCE) -> str:
    job_id = world.slurm.submit(comment=comment)
    world.slurm.schedule()
    await world.turn()
    return job_id


async def asked(world: World, job_id: str, verb: str, by: str = "alice") -> RequestRecord:
    """The answer, once there is one."""
    number = await world.ask(job_id, verb, by)
    for _ in range(20):
        await world.go_on(0.5, step=0.5)
        answer = (await world.answers())[number]
        if answer.state is not RequestState.OPEN:
            return answer
    pytest.fail(f"no answer to {verb}")


async def decision(world: World, job_id: str, idx: int = 0) -> DecisionRecord | None:
    record = await world.store.latest_job("memory", job_id)
    assert record is not None
    attempt = next(a for a in await world.store.attempts(record.id) if a.idx == idx)
    return await world.store.decision(attempt.id)


async def events(world: World) -> list[str]:
    return [row["event"] for row in await world.store._all(Query("SELECT * FROM events"))]


async def held(world: World, job_id: str) -> None:
    """The job crashes, and its successor is held by a decision that waits."""
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(3)
    await world.turn()
    for _ in range(6):
        await world.recovery.step(0)
        world.clock.pass_by(0.05)
        seen = world.seen(job_id)
        if seen and seen.held is HoldBy.REQUEUE_HOLD and not seen.completing:
            return
    pytest.fail("never held")


async def put_off(world: World) -> str:
    """A job whose third attempt is held for a minute: it has failed at once twice."""
    act = Settings(settle=2.0, backoff=60.0, no_progress_limit=0, site=Site(act=True))
    world.recovery.configure(act)
    job_id = await running(world, ONCE.replace("1", "2"))
    world.crash(job_id)
    await world.go_on(8)
    await held(world, job_id)
    return job_id


async def test_a_requeue_runs_a_second_attempt_of_a_job_that_is_well(world: World) -> None:
    job_id = await running(world)
    answer = await asked(world, job_id, "requeue")
    assert (answer.state, answer.result) == (
        RequestState.DONE,
        "asked for by alice (I say so): requeue 1 of 1",
    )
    await world.go_on(5)
    made = await decision(world, job_id)
    assert made is not None
    assert (made.verb, made.branch, made.outcome) == (
        Verb.REQUEUE,
        "operator",
        "successor_started",
    )
    assert world.slurm.requeued == [(job_id, 0)]
    assert {"request", "request_done", "decision"} <= set(await events(world))


async def test_an_owner_may_not_go_beyond_his_budget_but_an_operator_may(world: World) -> None:
    job_id = await running(world)
    assert (await asked(world, job_id, "requeue")).state is RequestState.DONE
    await world.go_on(5)
    assert "budget is spent" in (await asked(world, job_id, "requeue")).result
    assert "beyond the owner's 1" in (await asked(world, job_id, "requeue", "root")).result
    await world.go_on(5)
    assert world.slurm.requeued == [(job_id, 0), (job_id, 1)]


async def test_an_attempt_that_was_decided_on_is_not_acted_on_again(world: World) -> None:
    job_id = await running(world, ONCE.replace("1", "0"))
    world.crash(job_id)
    await world.go_on(8)
    answer = await asked(world, job_id, "requeue", "root")
    assert answer.state is RequestState.REFUSED
    assert "decided on already: stop, converged" in answer.result
    assert world.slurm.requeued == []


async def test_a_paused_job_is_left_alone_and_judged_when_it_is_resumed(world: World) -> None:
    job_id = await running(world)
    assert (await asked(world, job_id, "pause")).state is RequestState.DONE
    world.crash(job_id)
    await world.go_on(20)
    record = await world.store.latest_job("memory", job_id)
    assert record is not None
    assert record.paused
    assert await decision(world, job_id) is None
    assert "paused" in (await asked(world, job_id, "requeue")).result
    assert world.slurm.calls == []
    assert (await asked(world, job_id, "resume")).state is RequestState.DONE
    await world.go_on(8)
    assert world.slurm.requeued == [(job_id, 0)]


async def test_what_progress_has_answered_meanwhile_does_not_count_after_a_pause(
    world: World,
) -> None:
    job_id = await running(world)
    await asked(world, job_id, "pause")
    world.crash(job_id)
    await world.go_on(4)
    [watched] = world.recovery._jobs.watched.values()
    assert watched.chapter is not None
    beat = Pulse(f"{job_id}.log", 5000, world.clock())
    world.recovery.learn(watched.chapter.attempt.id, [], beat)
    await asked(world, job_id, "resume")
    await world.go_on(8)
    assert world.slurm.requeued == []


async def test_a_pause_outlives_a_kill_9(world: World) -> None:
    job_id = await running(world)
    await asked(world, job_id, "pause")
    world.kill()
    world.start()
    world.crash(job_id)
    await world.go_on(20)
    assert world.slurm.calls == []


async def test_a_paused_job_is_left_alone_while_the_database_is_away_too(world: World) -> None:
    job_id = await running(world)
    await asked(world, job_id, "pause")
    world.store.away = True
    world.crash(job_id)
    await world.go_on(GRACE + 20)
    assert world.slurm.calls == []


async def test_a_pause_does_not_leave_a_job_held(world: World) -> None:
    job_id = await running(world)
    await held(world, job_id)
    answer = await asked(world, job_id, "pause")
    assert "still finished" in answer.result
    await world.go_on(8)
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.state, seen.restarts) == (JobState.RUNNING, 1)


async def test_a_requeue_that_was_written_before_a_kill_9_is_done_once(world: World) -> None:
    """The answer is in the same commit: the next ajrd finds the decision and no open request."""
    job_id = await running(world)
    number = await world.ask(job_id, "requeue", "root")
    world.store.failing = "after"
    await world.turn()
    world.kill()
    world.start()
    await world.go_on(20)
    assert world.slurm.requeued == [(job_id, 0)]
    assert (await world.answers())[number].state is RequestState.DONE


@pytest.mark.parametrize("moment", ["before", "after", "read"])
@pytest.mark.parametrize("verb", ["pause", "requeue", "release", "abandon", "resume"])
async def test_a_store_that_fails_in_between_delays_an_answer(
    world: World, verb: str, moment: str
) -> None:
    job_id = await running(world)
    number = await world.ask(job_id, verb)
    world.store.failing = moment
    await world.go_on(10)
    assert (await world.answers())[number].state is not RequestState.OPEN
    assert world.slurm.requeued == ([(job_id, 0)] if verb == "requeue" else [])


@pytest.mark.parametrize("verb", ["requeue", "release"])
async def test_a_slurm_that_does_not_answer_leaves_a_request_open(world: World, verb: str) -> None:
    job_id = await running(world)
    number = await world.ask(job_id, verb)
    world.slurm.fail_next("job", SlurmUnavailable("no answer"))
    await world.turn()
    assert (await world.answers())[number].state is RequestState.OPEN
    await world.go_on(5)
    assert (await world.answers())[number].state is not RequestState.OPEN


async def test_a_request_for_a_job_that_is_gone_is_refused(world: World) -> None:
    job_id = await running(world)
    world.slurm.finish(job_id)
    await world.go_on(400, step=40)
    for verb in ("pause", "resume", "requeue", "release", "abandon"):
        answer = await asked(world, job_id, verb)
        assert (answer.state, "is over" in answer.result) == (RequestState.REFUSED, True)


async def test_a_verb_of_a_newer_ajrd_is_refused_and_stops_nobody(world: World) -> None:
    job_id = await running(world)
    await world.ask(job_id, "teleport")
    assert (await asked(world, job_id, "pause")).state is RequestState.DONE
    found = await world.store._all(Query("SELECT * FROM requests WHERE requests.verb = 'teleport'"))
    assert [(row["state"], row["result"]) for row in found] == [
        ("refused", "this version of ajrd does not know what is asked for")
    ]


async def test_observe_mode_refuses_what_would_touch_a_job(world: World) -> None:
    job_id = await running(world)
    world.recovery.configure(Settings(site=Site(act=False)))
    assert "only observes" in (await asked(world, job_id, "requeue")).result
    assert (await asked(world, job_id, "pause")).state is RequestState.DONE
    assert world.slurm.calls == []
    deadline = world.clock() + timedelta(seconds=900)
    await world.slurm.requeue_hold(job_id)
    world.slurm.set(job_id, admin_comment=with_mark("", Mark(0, deadline, "CRASH", 1, "dead")))
    await world.go_on(2)
    assert "only observes" in (await asked(world, job_id, "release")).result
    assert [name for name, _ in world.slurm.calls] == ["requeue_hold"]


async def test_a_hold_of_ajrds_is_released_before_its_time(world: World) -> None:
    """Its successor was to wait for a minute; the request ends that through the same steps."""
    job_id = await put_off(world)
    before = world.clock()
    answer = await asked(world, job_id, "release")
    assert (answer.state, answer.result) == (RequestState.DONE, "released")
    await world.go_on(5)
    made = await decision(world, job_id, 1)
    assert made is not None
    assert (made.start_delay, made.outcome) == (60, "successor_started")
    assert made.closed_at is not None
    assert made.closed_at - before < timedelta(seconds=20)
    assert [name for name, _ in world.slurm.calls].count("release") == 2


async def test_a_hold_that_no_decision_looks_after_is_released_at_once(world: World) -> None:
    job_id = await running(world)
    deadline = world.clock() + timedelta(seconds=100)
    await world.slurm.requeue_hold(job_id)
    world.slurm.set(job_id, admin_comment=with_mark("", Mark(0, deadline, "CRASH", 1, "dead")))
    await world.go_on(3)
    assert (await asked(world, job_id, "release")).result == "released"
    await world.go_on(5)
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.state, seen.held) == (JobState.RUNNING, HoldBy.NOBODY)
    assert "hold_released" in await events(world)


async def test_who_may_not_act_at_the_moment_leaves_a_hold_for_a_later_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await running(world)
    deadline = world.clock() + timedelta(seconds=100)
    await world.slurm.requeue_hold(job_id)
    world.slurm.set(job_id, admin_comment=with_mark("", Mark(0, deadline, "CRASH", 1, "dead")))
    await world.go_on(1)
    number = await world.ask(job_id, "release")
    monkeypatch.setattr(Alone, "may_act", lambda _self: False)
    await world.go_on(3)
    assert (await world.answers())[number].state is RequestState.OPEN
    monkeypatch.undo()
    await world.go_on(3)
    assert (await world.answers())[number].result == "released"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("", "ajrd does not hold the job"),
        ("user_hold", "held by its user"),
        ("admin_hold", "held by an administrator"),
        ("requeue_hold", "by somebody else"),
    ],
)
async def test_holds_of_others_are_not_released(world: World, act: str, words: str) -> None:
    job_id = world.slurm.submit(comment=ONCE)
    if act == "requeue_hold":
        world.slurm.schedule()
        await world.slurm.requeue_hold(job_id)
    elif act:
        getattr(world.slurm, act)(job_id)
    await world.go_on(2)
    answer = await asked(world, job_id, "release")
    assert (answer.state, words in answer.result) == (RequestState.REFUSED, True)
    assert world.slurm.calls[1:] == []
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.held is HoldBy.NOBODY) is not bool(act)


async def test_a_decision_that_is_abandoned_before_its_kill_leaves_the_job_as_it_is(
    world: World,
) -> None:
    """The word in AdminComment is taken back: a hold that comes later is not ajrd's."""
    job_id = await running(world)
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(3)
    await world.turn()
    await world.recovery.step(0)
    answer = await asked(world, job_id, "abandon")
    assert answer.result == "the decision to requeue was abandoned"
    await world.go_on(20)
    made = await decision(world, job_id)
    assert made is not None
    assert (made.state, made.outcome) == (DecisionState.ABANDONED, "abandoned_by_request")
    assert made.detail == f"request {answer.id} by alice: I say so"
    assert world.slurm.requeued == []
    seen = world.seen(job_id)
    assert seen is not None
    mark = read_mark(seen.admin_comment)
    assert mark is not None
    assert mark.hold_deadline is None


async def test_a_decision_that_is_abandoned_behind_its_kill_releases_the_job_first(
    world: World,
) -> None:
    job_id = await put_off(world)
    world.slurm.fail_next("release", SlurmUnavailable("no answer"))
    answer = await asked(world, job_id, "abandon")
    assert answer.state is RequestState.DONE
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.restarts, seen.held) == (2, HoldBy.NOBODY)
    made = await decision(world, job_id, 1)
    assert made is not None
    assert made.outcome == "abandoned_by_request"


async def test_a_kill_that_may_be_under_way_is_waited_for_before_its_decision_ends(
    world: World,
) -> None:
    """Nobody else would know whose hold it is when it comes."""
    job_id = await running(world)
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(3)
    await world.turn()
    await world.recovery.step(0)
    world.slurm.fail_next("requeue_hold", SlurmUnavailable("no answer"))
    await world.recovery.step(0)
    assert (await asked(world, job_id, "abandon")).state is RequestState.DONE
    seen = world.seen(job_id)
    assert seen is not None
    assert (seen.restarts, seen.held) == (1, HoldBy.NOBODY)


async def test_an_abandonment_outlives_a_kill_9(world: World) -> None:
    job_id = await running(world)
    await held(world, job_id)
    number = await world.ask(job_id, "abandon")
    await world.recovery.look()
    world.kill()
    world.start()
    await world.go_on(6)
    assert (await world.answers())[number].state is RequestState.DONE
    seen = world.seen(job_id)
    assert seen is not None
    assert seen.held is HoldBy.NOBODY


async def test_there_must_be_something_to_abandon(world: World) -> None:
    job_id = await running(world)
    assert (await asked(world, job_id, "abandon")).result == "nothing was decided on the job"
    world.crash(job_id)
    await world.go_on(10)
    answer = await asked(world, job_id, "abandon")
    assert answer.result == (
        "no decision is open; the last one, requeue, is converged: successor_started"
    )


async def test_who_leads_no_more_answers_nothing(world: World) -> None:
    job_id = await running(world)
    assert await world.store.acquire_lease("a", "h1", 1, 60) == 1
    number = await world.ask(job_id, "requeue")
    other = await FailingStore.open(world.store._database._address)
    assert await other.acquire_lease("b", "h2", 2, 60, dead="a") == 2
    with pytest.raises(NotLeader):
        await world.turn()
    assert (await world.answers())[number].state is RequestState.OPEN
    assert world.slurm.calls == []
    await other.close()


def test_the_verbs_fit_their_column() -> None:
    assert max(len(verb) for verb in ("pause", "resume", "requeue", "release", "abandon")) <= (
        table.c.verb.type.length or 0  # type: ignore[attr-defined]
    )


async def announced(world: World) -> str:
    """A job that is about to be requeued: AdminComment says so."""
    job_id = await running(world)
    world.crash(job_id)
    await world.turn()
    world.clock.pass_by(3)
    await world.turn()
    await world.recovery.step(0)
    return job_id


async def test_a_requeue_that_was_abandoned_before_its_kill_is_none_of_the_budget(
    world: World,
) -> None:
    """AdminComment is a witness of the budget: it must not count what did not happen."""
    job_id = await announced(world)
    await asked(world, job_id, "abandon")
    seen = world.seen(job_id)
    assert seen is not None
    assert "given up" in seen.admin_comment
    await world.slurm.requeue(job_id)
    await world.go_on(200)
    world.crash(job_id)
    await world.go_on(10)
    made = await decision(world, job_id, 1)
    assert made is not None
    assert (made.verb, made.outcome) == (Verb.REQUEUE, "successor_started")


async def test_who_may_not_act_at_the_moment_takes_no_word_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leads by now may hold the job by that word: without it nobody releases it."""
    job_id = await announced(world)
    before = world.seen(job_id)
    with monkeypatch.context() as patch:
        patch.setattr(Alone, "may_act", lambda _self: False)
        await world.ask(job_id, "abandon")
        await world.go_on(5)
        assert world.seen(job_id) == before
        assert (await decision(world, job_id)).state is DecisionState.OPEN  # type: ignore[union-attr]
    await world.go_on(5)
    assert (await decision(world, job_id)).outcome == "abandoned_by_request"  # type: ignore[union-attr]


async def test_the_word_on_a_successor_is_not_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look that ends a decision and the command another ajrd may have requeued it."""
    job_id = await announced(world)
    await world.ask(job_id, "abandon")
    await world.turn()
    monkeypatch.setattr(Alone, "may_act", lambda _self: _requeued(world, job_id))
    await world.recovery.step(0)
    seen = world.seen(job_id)
    assert seen is not None
    mark = read_mark(seen.admin_comment)
    assert mark is not None
    assert mark.hold_deadline is not None


def _requeued(world: World, job_id: str) -> bool:
    world.slurm.set(job_id, restarts=1, state=JobState.PENDING, held=HoldBy.REQUEUE_HOLD)
    return True


async def test_many_requests_do_not_keep_recovery_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a slow Slurm each look answers some of them, and each has its turn."""
    monkeypatch.setattr("ajrd.recovery.requests.PATIENCE", -1.0)
    jobs = [await running(world) for _ in range(3)]
    for job_id in jobs:
        await world.ask(job_id, "release")
    for done in (1, 2, 3):
        await world.turn()
        states = [answer.state for answer in (await world.answers()).values()]
        assert states.count(RequestState.REFUSED) == done


async def test_a_silent_slurm_costs_a_look_one_time_limit(world: World) -> None:
    """What needs no Slurm has its turn at the next look."""
    jobs = [await running(world) for _ in range(3)]
    for job_id, verb in zip(jobs, ("release", "release", "pause"), strict=True):
        await world.ask(job_id, verb)
    asked = 0

    async def silent(_job_id: str) -> None:
        nonlocal asked
        asked += 1
        raise SlurmUnavailable("no answer")

    requests = world.recovery._requests
    requests._slurm = type("Silent", (), {"job": staticmethod(silent)})()
    for looks in (1, 2, 3):
        await requests.look()
        assert asked == min(looks, 2) + (looks > 2)
    assert (await world.answers())[3].state is RequestState.DONE


async def test_a_hold_that_an_administrator_puts_in_between_is_not_taken_for_ours(
    world: World,
) -> None:
    """AdminComment has announced one; neither its deadline nor its owner may end this one."""
    job_id = await announced(world)
    await MemorySlurm.requeue_hold(world.slurm, job_id)
    await world.go_on(10)
    made = await decision(world, job_id)
    assert made is not None
    assert made.outcome == "held_by_others"
    answer = await asked(world, job_id, "release")
    assert answer.state is RequestState.REFUSED
    await world.go_on(300, step=10)
    seen = world.seen(job_id)
    assert seen is not None
    assert seen.held is HoldBy.REQUEUE_HOLD


async def test_a_requeue_that_somebody_else_was_quicker_with_is_none_of_the_budget(
    world: World,
) -> None:
    job_id = await announced(world)
    world.slurm.admin_requeue(job_id)
    await world.go_on(200)
    world.crash(job_id)
    await world.go_on(10)
    made = await decision(world, job_id, 1)
    assert made is not None
    assert (made.verb, made.outcome) == (Verb.REQUEUE, "successor_started")
