"""People ask for something to be done to a job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ajrd.store import requests
from ajrd.store.address import Address
from ajrd.store.store import Store
from tests.database.samples import a_job
from tests.web.serving import World, a_store, a_world

REQUEUE = "/api/v1/jobs/7/requeue"
WHY = {"reason": "the nodes are back"}


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[tuple[Store, Address]]:
    async with a_store(tmp_path) as both:
        await a_job(both[0])
        yield both


@pytest.fixture
async def world(places: tuple[Store, Address], tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(places[1], tmp_path) as made:
        yield made


async def open_ones(world: World) -> list[tuple[str, str, str]]:
    found = await world.site.database.all(requests.open_requests())
    return [(row["verb"], row["by"], row["reason"]) for row in found]


@pytest.mark.parametrize("verb", ["pause", "resume", "requeue", "release", "abandon"])
async def test_the_owner_asks_and_is_told_where_the_answer_will_be(world: World, verb: str) -> None:
    answer = await world.post(f"/api/v1/jobs/7/{verb}", "ada", WHY)
    assert (answer.status, answer.json["state"], answer.json["by"]) == (202, "open", "ada")
    assert await open_ones(world) == [(verb, "ada", WHY["reason"])]
    assert (await world.get(answer.headers["Location"], "ada")).json == answer.json
    assert (await world.get("/api/v1/jobs/7", "ada")).json["requests"] == [answer.json]


async def test_an_operator_may_ask_for_any_job(world: World) -> None:
    assert (await world.post(REQUEUE, "root", WHY)).json["by"] == "root"


async def test_the_same_is_not_asked_for_twice(world: World) -> None:
    first = await world.post(REQUEUE, "ada", WHY)
    second = await world.post(REQUEUE, "root", WHY)
    assert (second.status, second.json["request"]) == (409, first.headers["Location"])
    assert len(await open_ones(world)) == 1


async def test_the_jobs_and_requests_of_others_are_not_there(world: World) -> None:
    assert (await world.post(REQUEUE, "bob", WHY)).status == 404
    mine = await world.post(REQUEUE, "ada", WHY)
    assert (await world.get(mine.headers["Location"], "bob")).status == 404
    assert len(await open_ones(world)) == 1


async def test_what_cannot_be_decoded_is_refused_and_what_is_no_http_is_not_written_down(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await world.post(REQUEUE, "ada", WHY, Content_Encoding="deflate")
    assert (answer.status, answer.json["detail"]) == (400, "the request cannot be decoded")
    listen = str(world.site.web.listen)
    reader, writer = await asyncio.open_connection(*listen.split(":"))
    writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert caplog.messages == []
    assert "Traceback" not in capsys.readouterr().out


async def test_who_may_only_read_is_refused(places: tuple[Store, Address], tmp_path: Path) -> None:
    async with a_world(places[1], tmp_path, anonymous_read=True) as world:
        assert (await world.get("/api/v1/jobs/7")).status == 200
        assert (await world.post(REQUEUE, None, WHY)).status == 403
        assert await open_ones(world) == []


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ("", 422, "Invalid JSON"),
        ("{}", 422, "reason: Field required"),
        ('{"reason": ""}', 422, "reason: String should have at least 1"),
        ('{"reason": "x", "more": 1}', 422, "more: is not known here"),
        ("[" * 60_000, 422, ""),
        ('{"reason": "' + "x" * 70_000 + '"}', 413, "the request is too long"),
    ],
)
async def test_what_is_no_request_is_refused_with_the_reason(
    world: World, body: str, status: int, why: str
) -> None:
    answer = await world.ask("POST", REQUEUE, "ada", body, Content_Type="application/json")
    assert (answer.status, answer.json["detail"][: len(why)]) == (status, why)
    assert await open_ones(world) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "http://other"}, 202),
    ],
)
async def test_another_site_cannot_make_a_browser_ask(
    world: World, headers: dict[str, str], status: int
) -> None:
    told = {"Content_Type": "application/json", **headers}
    answer = await world.ask("POST", REQUEUE, "ada", '{"reason": "x"}', **told)
    assert answer.status == status
    assert len(await open_ones(world)) == (status == 202)


async def test_a_page_of_ours_may_ask(world: World) -> None:
    origin = str(world.net._base_url).rstrip("/")
    assert (await world.post(REQUEUE, "ada", WHY, Origin=origin)).status == 202
