"""``ajrd pause|resume|requeue|release|abandon`` as their users meet them; a test leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from ajrd.model import DecisionState, RequestState, RequestVerb, Verb
from ajrd.store.records import Answer, AttemptRecord, DecisionRecord, JobRecord, RequestRecord
from ajrd.store.store import Store
from tests.unit.cli_store import Place, a_job
from tests.unit.samples import at


class Desk:
    """A job, its store, and the command run beside whoever leads."""

    def __init__(self, place: Place, store: Store, job: JobRecord, attempt: AttemptRecord) -> None:
        self.place, self.store, self.job, self.attempt = place, store, job, attempt

    async def run(self, *argv: str) -> Result:
        return await asyncio.to_thread(self.place.run, *argv)

    async def open(self) -> list[RequestRecord]:
        return await self.store.open_requests(at(50))

    async def asked(self) -> RequestRecord:
        """The request, once there is one."""
        async with asyncio.timeout(20):
            while not (found := await self.open()):
                await asyncio.sleep(0.01)
        return found[0]

    async def requeue(self, outcome: str, state: DecisionState) -> None:
        """Decides and ends a requeue."""
        request = await self.asked()
        decision = DecisionRecord(
            id=0, attempt=self.attempt.id, anomaly=None, verb=Verb.REQUEUE, branch="operator",
            reason="asked for", exclude_nodes="", state=DecisionState.OPEN, outcome="", detail="",
            hold_deadline=None, created_at=at(12), closed_at=None,
        )  # fmt: skip
        answer = Answer(request, RequestState.DONE, "asked for")
        made = await self.store.write_decision(decision, self.job, self.attempt, (), answer=answer)
        assert made is not None
        await self.store.close_decision(made, self.attempt, state, outcome, "", at(20))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    place = Place(tmp_path)
    store = await place.open()
    yield Desk(place, store, *await a_job(store, "7"))
    await store.close()


@pytest.mark.parametrize("verb", list(RequestVerb))
async def test_a_request_is_written_for_the_leader(desk: Desk, verb: RequestVerb) -> None:
    done = await desk.run(verb, "7", "--reason", "nodes are back")
    assert done.exit_code == 0
    assert done.stdout == f"request 1: {verb} job 7\n"
    assert "no service leads now" in done.stderr
    [request] = await desk.open()
    assert (request.verb, request.job, request.reason) == (verb, desk.job.id, "nodes are back")


async def test_the_same_is_not_asked_twice(desk: Desk) -> None:
    await desk.run("pause", "7", "--reason", "a")
    assert (await desk.run("pause", "7", "--reason", "b")).stdout == "request 1: pause job 7\n"
    assert len(await desk.open()) == 1


async def test_who_waits_is_told_the_answer(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.run("pause", "7", "--reason", "a", "--wait", "30"))
    request = await desk.asked()
    await desk.store.answer(Answer(request, RequestState.DONE, "paused\x1b[2J"), at(51))
    done = await waiting
    assert (done.exit_code, done.stdout) == (0, "request 1, done: paused\\x1b[2J\n")


async def test_a_refusal_has_an_exit_code_of_its_own(desk: Desk) -> None:
    waiting = asyncio.create_task(desk.run("release", "7", "--reason", "a", "--wait"))
    answer = Answer(await desk.asked(), RequestState.REFUSED, "ajrd does not hold the job")
    await desk.store.answer(answer, at(51))
    done = await waiting
    assert (done.exit_code, done.stdout) == (4, "request 1, refused: ajrd does not hold the job\n")


@pytest.mark.parametrize(
    ("outcome", "state", "code", "words"),
    [
        ("successor_started", DecisionState.CONVERGED, 0, "was seen to run the next attempt"),
        ("refused_by_slurm", DecisionState.ABANDONED, 4, "Slurm has refused the command"),
    ],
)
async def test_who_waits_for_a_requeue_is_told_how_it_ended(
    desk: Desk, outcome: str, state: DecisionState, code: int, words: str
) -> None:
    waiting = asyncio.create_task(desk.run("requeue", "7", "--reason", "a", "--wait", "30"))
    await desk.requeue(outcome, state)
    done = await waiting
    assert done.exit_code == code
    assert words in done.stdout


async def test_nobody_waits_for_ever(desk: Desk) -> None:
    done = await desk.run("pause", "7", "--reason", "a", "--wait", "0.1")
    assert (done.exit_code, "not answered yet" in done.stderr) == (3, True)


async def test_a_job_that_nobody_knows_and_a_reason_that_nobody_gives(desk: Desk) -> None:
    assert (await desk.run("pause", "99", "--reason", "a")).exit_code == 1
    assert (await desk.run("pause", "7")).exit_code == 2
    assert (await desk.run("pause", "7; rm", "--reason", "a")).exit_code == 2


async def test_a_task_must_be_named(desk: Desk) -> None:
    await desk.store.add_job(replace(desk.job, job_id="20_1", raw_id=21), "seen")
    done = await desk.run("pause", "20", "--reason", "a")
    assert (done.exit_code, "name one of its tasks: 20_1" in done.stderr) == (1, True)
