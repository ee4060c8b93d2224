"""What people ask for: written, found, answered once, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest

from ajrd.model import RequestState, RequestVerb
from ajrd.store import requests, rows
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.store.queries import Query
from ajrd.store.records import RequestRecord
from ajrd.store.store import Store
from tests.database.samples import a_job
from tests.unit.samples import at


@pytest.fixture
async def database(address: Address, store: Store) -> AsyncIterator[Database]:
    """Connections of another process than the store's."""
    database = Database(address)
    yield database
    await database.close()


async def ask(database: Database, job: int, verb: str = "requeue") -> int | None:
    """Asks unless the same is open already."""
    async with database.transaction(nullcontext(), "asking", writes=True) as db:
        if await requests.open_equal(db, job, verb) is not None:
            return None
        return await requests.ask(db, job, verb, "ada", "nodes are back", at(1))


async def test_a_request_is_open_until_it_is_answered_and_then_keeps_its_answer(
    store: Store, database: Database
) -> None:
    job, _ = await a_job(store)
    number = await ask(database, job.id)
    assert number is not None
    opened = [rows.request(row) for row in await database.all(requests.open_requests())]
    assert opened == [
        RequestRecord(
            id=number,
            job=job.id,
            verb=RequestVerb.REQUEUE,
            by="ada",
            reason="nodes are back",
            state=RequestState.OPEN,
            result="",
            asked_at=at(1),
        )
    ]
    async with database.transaction(nullcontext(), "answering", writes=True) as db:
        await requests.finish(db, number, RequestState.DONE, "requeued", at(2))
        await requests.finish(db, number, RequestState.REFUSED, "too late", at(3))
    assert await database.all(requests.open_requests()) == []
    answered = rows.request((await database.all(requests.request_by_id(number)))[0])
    assert (answered.state, answered.result, answered.done_at) == ("done", "requeued", at(2))
    assert [row["id"] for row in await database.all(requests.requests_of(job.id))] == [number]


async def test_a_request_stands_in_the_audit_trail(store: Store, database: Database) -> None:
    job, _ = await a_job(store)
    await ask(database, job.id, "pause")
    trail = await database.all(Query("SELECT * FROM events WHERE event = 'request'"))
    assert [(row["job"], row["message"]) for row in trail] == [
        (job.id, "ada asks to pause it: nodes are back")
    ]


async def test_of_many_who_ask_for_the_same_at_once_one_is_heard(
    store: Store, database: Database
) -> None:
    job, _ = await a_job(store)
    told = await asyncio.gather(*(ask(database, job.id) for _ in range(4)))
    assert len([number for number in told if number is not None]) == 1
    assert await ask(database, job.id, "pause") is not None
