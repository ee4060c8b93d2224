"""Events as they come: to whom, in what order, and after a reconnection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from sqlalchemy import text

from ajrd.errors import StoreUnavailable
from ajrd.recovery.tracking import new_job
from ajrd.store import queries
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.store.records import JobRecord
from ajrd.store.store import Store
from ajrd.web import listen, stream
from ajrd.web.identity import Identity, Way
from ajrd.web.stream import Hub, Listener
from tests.database.samples import a_job
from tests.unit.samples import at
from tests.unit.samples import job as a_seen_job
from tests.web.serving import World, a_store, a_world

OPERATOR = Identity("root", operator=True, way=Way.SOCKET)


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[tuple[Store, Address]]:
    async with a_store(tmp_path) as both:
        yield both


@pytest.fixture
def store(places: tuple[Store, Address]) -> Store:
    return places[0]


@pytest.fixture
async def world(places: tuple[Store, Address], tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(places[1], tmp_path) as made:
        made.app[listen.HUB].poll = 0.02
        yield made


@pytest.fixture
async def job(store: Store) -> JobRecord:
    """Ada's."""
    return (await a_job(store))[0]


@dataclass
class Told:
    """What a stream has told: names and data, with the mark to resume from."""

    response: ClientResponse
    mark: str = ""
    _rest: bytes = b""
    _ready: list[tuple[str, Any]] = field(default_factory=list)

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(20):
            while not self._ready:
                chunk = await self.response.content.readany()
                assert chunk, "the stream has ended"
                self._take(chunk)
        return self._ready.pop(0)

    def _take(self, chunk: bytes) -> None:
        *whole, self._rest = (self._rest + chunk).split(b"\n\n")
        for block in whole:
            lines = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
            self.mark = lines.get("id", self.mark)
            if "data" in lines:
                self._ready.append((lines.get("event", ""), json.loads(lines["data"])))

    async def messages(self, count: int) -> list[str]:
        return [(await self.next())[1]["message"] for _ in range(count)]


@asynccontextmanager
async def listening(
    world: World, user: str, query: str = "", **headers: str
) -> AsyncIterator[Told]:
    told = {"X-Remote-User": user, **{k.replace("_", "-"): v for k, v in headers.items()}}
    path = f"/api/v1/stream{query}"
    hub, before = world.app[listen.HUB], world.app[listen.HUB].listeners
    async with world.net.get(path, headers=told) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        while hub.listeners == before or hub._position is None:
            await asyncio.sleep(0.01)
        yield Told(response)


async def say(store: Store, *messages: str, job: JobRecord | None = None) -> None:
    for message in messages:
        await store.log(at(1), "said", message, job=job.id if job else None)


async def test_who_listens_is_told_of_what_happens_from_then_on(
    store: Store, world: World, job: JobRecord
) -> None:
    async with listening(world, "ada") as told:
        await say(store, "one", "two", job=job)
        name, data = await told.next()
        assert (name, data["message"], data["job_id"], data["user"]) == ("", "one", "7", "ada")
        assert await told.messages(1) == ["two"]


async def test_nobody_is_told_of_the_jobs_of_others_or_of_the_service(
    store: Store, world: World, job: JobRecord
) -> None:
    async with listening(world, "bob") as bob, listening(world, "root") as root:
        await say(store, "of the service")
        await say(store, "of ada", job=job)
        assert await root.messages(2) == ["of the service", "of ada"]
        seen = a_seen_job(job_id="8", user="bob")
        record = new_job(seen, "c", managed=True, note="", now=at(0))
        bobs = await store.add_job(record, "seen")
        await say(store, "of bob", job=bobs)
        assert await bob.messages(2) == ["seen", "of bob"]


@pytest.mark.parametrize("query", ["?job=7", "?user=ada"])
async def test_a_stream_is_narrowed(store: Store, world: World, job: JobRecord, query: str) -> None:
    async with listening(world, "root", query) as told:
        await say(store, "of the service")
        await say(store, "of ada", job=job)
        assert await told.messages(1) == ["of ada"]


async def test_who_comes_again_misses_nothing(store: Store, world: World, job: JobRecord) -> None:
    async with listening(world, "ada") as told:
        await say(store, "one", job=job)
        assert await told.messages(1) == ["one"]
    await say(store, "two", job=job)
    await say(store, "of the service")
    await say(store, "three", job=job)
    async with listening(world, "ada", Last_Event_ID=told.mark) as again:
        await say(store, "four", job=job)
        assert await again.messages(3) == ["two", "three", "four"]


async def test_who_has_missed_too_much_is_told_so(
    store: Store, world: World, job: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "RESUMED", 2)
    await say(store, "1", "2", "3", "4", job=job)
    async with listening(world, "ada", Last_Event_ID="1") as told:
        assert (await told.next())[0] == "lagged"
        await say(store, "new", job=job)
        assert await told.messages(1) == ["new"]


async def test_a_mark_of_another_database_begins_anew(
    store: Store, world: World, job: JobRecord
) -> None:
    async with listening(world, "ada", Last_Event_ID="999999") as told:
        assert await told.next() == ("lagged", {"lost": 0})
        await say(store, "new", job=job)
        assert await told.messages(1) == ["new"]


async def test_a_listener_that_is_too_far_behind_loses_what_it_has_not_got() -> None:
    listener = Listener(OPERATOR)
    for _ in range(stream.BEHIND):
        listener.offer(b"old", 1)
    listener.offer(b"new", 1)
    listener.offer(b"newer", 1)
    lost = stream.BEHIND + 1
    assert await listener.take(1) == stream.lagged(lost) + b"newer"
    assert await listener.take(0) == b""


async def test_a_number_that_becomes_visible_late_is_told_and_was_not_passed(
    places: tuple[Store, Address], world: World, store: Store, job: JobRecord
) -> None:
    """Two transactions: the one with the higher number is kept first."""
    async with listening(world, "root") as told:
        await say(store, "first")
        await told.next()
        last = int(told.mark)
        insert = "INSERT INTO events (id, at, event, message) VALUES (:id, :at, 'said', :message)"
        for number, message in ((last + 2, "higher"), (last + 1, "lower")):
            async with store._transaction("writing an event") as db:
                values = {"id": number, "at": "2026-01-01 00:00:00.000000", "message": message}
                await db.execute(text(insert), values)
            assert await told.messages(1) == [message]
            assert int(told.mark) == (last if message == "higher" else last + 2)


async def test_one_look_at_the_store_serves_all_who_listen(
    places: tuple[Store, Address], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, asked = Database(places[1]), list[str]()
    real = database.all

    async def counted(query: queries.Query) -> Sequence[Any]:
        asked.append(query.sql)
        return await real(query)

    hub, listeners = Hub(database), [Listener(OPERATOR) for _ in range(50)]
    for listener in listeners:
        await hub.join(listener, None)
    monkeypatch.setattr(database, "all", counted)
    await say(store, "once")
    await hub._look()
    assert len(asked) == 1
    told = [await listener.take(1) for listener in listeners]
    assert all(chunk is not None and b"once" in chunk for chunk in told)
    await database.close()


async def test_a_stop_does_not_wait_for_streams(
    places: tuple[Store, Address], tmp_path: Path
) -> None:
    async with a_world(places[1], tmp_path) as world:
        told = {"X-Remote-User": "root"}
        response = await world.net.get("/api/v1/stream", headers=told)
        hub: Hub = world.app[listen.HUB]
        while not hub.listeners:
            await asyncio.sleep(0.01)
    assert hub.listeners == 0
    response.close()


async def test_a_store_that_is_away_is_told_and_its_return_too(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = world.app[listen.HUB]
    async with listening(world, "ada") as told:
        real = hub.database.all

        async def away(_query: queries.Query) -> Sequence[Any]:
            raise StoreUnavailable("away")

        monkeypatch.setattr(hub.database, "all", away)
        assert (await told.next())[0] == "away"
        monkeypatch.setattr(hub.database, "all", real)
        assert (await told.next())[0] == "back"


async def test_one_user_cannot_open_all_streams(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "EACH", 1)
    async with listening(world, "ada"):
        answer = await world.get("/api/v1/stream", "ada")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
        async with listening(world, "bob"):
            pass
