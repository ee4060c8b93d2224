"""What the API tells, to whom, and how."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import ClientSession

from ajrd.model import Verb
from ajrd.recovery.sequence import STEPS
from ajrd.recovery.tracking import new_job, opened
from ajrd.store import requests
from ajrd.store.address import Address
from ajrd.store.store import Store
from tests.database.samples import POSITION, a_decision
from tests.unit.samples import anomaly, at, job
from tests.web.serving import World, a_store, a_world

#: Markup, a terminal's control sequence, bidi, a formula: what a user may write anywhere.
HOSTILE = "=cmd()<script>alert(1)</script>\x1b[2J\u202e\x7f&\x00"
LISTS = ("jobs", "attempts", "anomalies", "decisions", "events", "efficiency", "nodes")


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[tuple[Store, Address]]:
    async with a_store(tmp_path) as both:
        yield both


@pytest.fixture
def store(places: tuple[Store, Address]) -> Store:
    return places[0]


@pytest.fixture
async def world(places: tuple[Store, Address], tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(places[1], tmp_path, requests_per_minute=10_000) as made:
        yield made


async def a_story(store: Store, job_id: str, user: str, name: str = "train", **found: str) -> None:
    """A job that crashed once, with its evidence and the decision on it."""
    seen = job(job_id=job_id, raw_id=int(job_id), user=user, name=name)
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=at(0)), "seen")
    attempt = await store.save_attempt(opened(record, seen, at(0)), at(0), "attempt_started")
    crash = anomaly(1, text=found.get("text", "Rank0: (1) segmentation fault"),
                    source=found.get("source", "/w/a.log"), before=("before",),
                    facts={"node": "n1", "rank": "0"})  # fmt: skip
    await store.record_evidence(attempt, [crash], POSITION, None, at(1))
    await store.write_decision(a_decision(attempt), record, attempt, STEPS[Verb.REQUEUE])


async def test_a_job_is_told_with_its_whole_story(store: Store, world: World) -> None:
    await a_story(store, "7", "ada")
    told = (await world.get("/api/v1/jobs/7", "ada")).json
    assert (told["job_id"], told["user"], told["comment"][:7]) == ("7", "ada", '{"APS":')
    (attempt,) = told["attempts"]
    (evidence,) = attempt["anomalies"]
    assert (evidence["cause"], evidence["before"]) == ("segfault", ["before"])
    steps = [action["step"] for action in attempt["decision"]["actions"]]
    assert steps == [str(step) for step in STEPS[Verb.REQUEUE]]
    assert attempt["sources"][0]["path"] == "/w/a.log"
    events = ["job_seen", "attempt_started", "anomaly", "decision"]
    assert [event["event"] for event in told["events"]] == events
    assert datetime.fromisoformat(attempt["started_at"]) == at(0)


async def test_the_lists_hold_the_jobs_of_the_asker_and_all_of_them_for_an_operator(
    store: Store, world: World
) -> None:
    await a_story(store, "7", "ada")
    await a_story(store, "8", "bob")
    for name in ("jobs", "attempts", "anomalies", "decisions", "events"):
        mine = (await world.get(f"/api/v1/{name}", "ada")).json["items"]
        assert {row["job_id"] for row in mine} == {"7"}, name
        every = (await world.get(f"/api/v1/{name}", "root")).json["items"]
        assert {row["job_id"] for row in every} == {"7", "8"}, name
        theirs = (await world.get(f"/api/v1/{name}?user=bob", "ada")).json["items"]
        assert theirs == [], name


async def test_a_job_of_somebody_else_is_told_apart_in_nothing_from_one_that_is_not_there(
    store: Store, world: World
) -> None:
    await a_story(store, "8", "bob")
    theirs, none = [await world.get(f"/api/v1/jobs/{each}", "ada") for each in ("8", "9")]
    for answer in (theirs.json, none.json):
        del answer["request_id"]
    hidden = {**theirs.json, "request_id": ""}
    assert (theirs.status, hidden) == (none.status, {**none.json, "request_id": ""})
    assert theirs.status == 404


async def test_events_of_the_service_itself_are_for_operators(store: Store, world: World) -> None:
    await store.log(at(1), "reloaded", "rules of bob")
    assert (await world.get("/api/v1/events", "ada")).json["items"] == []
    (event,) = (await world.get("/api/v1/events", "root")).json["items"]
    assert (event["event"], event["job_id"]) == ("reloaded", None)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("jobs?state=RUNNING", {"7", "8"}),
        ("jobs?state=PENDING", set()),
        ("jobs?partition=main&user=bob", {"8"}),
        ("jobs?cause=segfault", {"7", "8"}),
        ("jobs?cause=xid", set()),
        ("jobs?job=7", {"7"}),
        ("jobs?from=2026-01-01T12:00:00Z&to=2026-01-01T12:00:01Z", {"7", "8"}),
        ("jobs?to=2026-01-01T14:00:00%2B02:00", set()),
        ("attempts?node=n2", {"7", "8"}),
        ("attempts?node=n3", set()),
        ("attempts?kind=CRASH", {"7", "8"}),
        ("anomalies?node=n1&role=root", {"7", "8"}),
        ("anomalies?node=n2", set()),
        ("decisions?state=open&verb=requeue&node=n1", {"7", "8"}),
        ("decisions?state=converged", set()),
        ("events?event=decision&job=8", {"8"}),
    ],
)
async def test_a_list_is_narrowed_by_its_filters(
    store: Store, world: World, query: str, found: set[str]
) -> None:
    await a_story(store, "7", "ada")
    await a_story(store, "8", "bob")
    answer = await world.get(f"/api/v1/{query}", "root")
    assert answer.status == 200, answer.body
    assert {row["job_id"] for row in answer.json["items"]} == found


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("jobs?usr=ada", "usr: is not known here"),
        ("jobs?limit=251", "limit: "),
        ("jobs?limit=1&limit=2", "limit: is given more than once"),
        ("jobs?from=yesterday", "from: is not a time like 2026-01-31T12:00:00Z"),
        ("anomalies?kind=NONE", "kind: "),
        ("jobs?cursor=0", "cursor: "),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_with_the_reason(
    world: World, query: str, why: str
) -> None:
    answer = await world.get(f"/api/v1/{query}", "ada")
    assert (answer.status, answer.json["detail"][: len(why)]) == (400, why)
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_paging_tells_every_row_once_while_rows_are_added(store: Store, world: World) -> None:
    for number in range(1, 8):
        await a_story(store, str(number), "ada")
    path, seen = "/api/v1/jobs?limit=2&user=ada", []
    while path:
        page = (await world.get(path, "ada")).json
        assert len(page["items"]) <= 2
        seen += [row["job_id"] for row in page["items"]]
        path = page["next"]
        await a_story(store, str(100 + len(seen)), "ada")
    assert seen == ["7", "6", "5", "4", "3", "2", "1"]


@pytest.mark.parametrize("name", LISTS)
async def test_an_empty_store_has_empty_lists(world: World, name: str) -> None:
    answer = await world.get(f"/api/v1/{name}", "root")
    assert (answer.status, answer.json) == (200, {"items": [], "next": None})


async def test_what_users_write_is_harmless_in_every_answer(store: Store, world: World) -> None:
    await a_story(store, "7", "ada", name=HOSTILE, text=HOSTILE, source=f"/w/\udcff{HOSTILE}")
    for path in (*(f"/api/v1/{name}" for name in LISTS), "/api/v1/jobs/7"):
        answer = await world.get(path, "ada")
        assert answer.status == 200
        assert all(32 <= byte < 127 for byte in answer.body), path
        assert not set(b"<>&") & set(answer.body), path
    assert (await world.get("/api/v1/jobs", "ada")).json["items"][0]["name"] == HOSTILE
    source = (await world.get("/api/v1/anomalies", "ada")).json["items"][0]["source"]
    assert source == f"/w/\\xff{HOSTILE}"


async def test_what_the_reader_has_already_is_not_sent_again(store: Store, world: World) -> None:
    await a_story(store, "7", "ada")
    first = await world.get("/api/v1/jobs", "ada")
    again = await world.get("/api/v1/jobs", "ada", If_None_Match=first.headers["ETag"])
    assert (again.status, again.body) == (304, b"")
    await a_story(store, "8", "ada")
    changed = await world.get("/api/v1/jobs", "ada", If_None_Match=first.headers["ETag"])
    assert changed.status == 200


async def test_an_answer_is_compressed_for_who_can_read_that(store: Store, world: World) -> None:
    await a_story(store, "7", "ada")
    address = str(world.net._base_url)
    async with ClientSession(address, auto_decompress=False) as raw:
        told = {"X-Remote-User": "ada", "Accept-Encoding": "gzip"}
        async with raw.get("/api/v1/jobs/7", headers=told) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            packed = await response.read()
    plain = await world.get("/api/v1/jobs/7", "ada", Accept_Encoding="identity")
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/v1/jobs", 405),
        ("GET", "/api/v1/jobs/7%00", 404),
        ("GET", "/api/v1/requests/x", 404),
    ],
)
async def test_every_error_is_a_problem(world: World, method: str, path: str, status: int) -> None:
    answer = await world.ask(method, path, "root", "" if method == "DELETE" else None,
                             Content_Type="application/json")  # fmt: skip
    assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] == answer.json["request_id"]


async def test_a_store_that_is_away_is_told_as_such(
    store: Store, world: World, tmp_path: Path
) -> None:
    await store.close()
    (tmp_path / "ajrd.sqlite").write_bytes(b"no database" * 1000)
    answer = await world.get("/api/v1/jobs", "ada")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json["detail"] == "the database does not answer at the moment"


async def test_below_its_base_path_all_is_as_without_it(
    places: tuple[Store, Address], tmp_path: Path
) -> None:
    async with a_world(places[1], tmp_path, base_path="/ajrd") as world:
        for number in (1, 2):
            await a_story(places[0], str(number), "ada")
        for prefix in ("", "/ajrd"):
            page = (await world.get(f"{prefix}/api/v1/jobs?limit=1", "ada")).json
            assert page["next"].startswith("/ajrd/api/v1/jobs?limit=1&cursor=")
            assert (await world.get(page["next"], "ada")).json["items"][0]["job_id"] == "1"
        told = (await world.get("/ajrd/openapi.json", "ada")).json
        assert told["servers"] == [{"url": "/ajrd"}]


async def test_what_names_hosts_and_others_is_told_to_operators_alone(world: World) -> None:
    told = (await world.get("/api/v1/service", "ada")).json
    assert (told["role"], told["host"], told["troubles"], told["store_url"]) == (
        "leader", None, None, None,
    )  # fmt: skip
    assert told["sources"][0]["why"] == ""
    whole = (await world.get("/api/v1/service", "root")).json
    assert whole["sources"][0]["why"] == "no such file: /home/bob"
    assert (whole["host"], whole["troubles"][0]["message"]) == ("head", "of job 7")


async def test_who_reads_without_a_name_is_no_operator(
    places: tuple[Store, Address], tmp_path: Path
) -> None:
    await a_story(places[0], "7", "ada")
    async with a_world(places[1], tmp_path, anonymous_read=True) as world:
        assert (await world.get("/api/v1/jobs/7")).status == 200
        told = (await world.get("/api/v1/service")).json
        assert [told[name] for name in ("host", "pid", "store_url", "troubles")] == [None] * 4
        page = (await world.get("/service")).body.decode()
        secrets = ("mysql://ajrd@db", "of job 7", "no such file", "pid 7")
        assert [secret for secret in secrets if secret in page] == []


async def test_the_base_path_without_its_slash_leads_on(
    places: tuple[Store, Address], tmp_path: Path
) -> None:
    async with a_world(places[1], tmp_path, base_path="/ajrd") as world:
        page = await world.get("/ajrd", "ada")
        assert page.status == 200
        assert b"<h1>Workflows" in page.body


async def test_a_story_tells_no_more_requests_than_a_reader_can_bear(
    places: tuple[Store, Address], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_story(places[0], "7", "ada")
    monkeypatch.setattr(requests, "TOLD", 2)
    verbs = ["pause", "resume", "release"]
    for verb in verbs:
        await world.post(f"/api/v1/jobs/7/{verb}", "ada", {"reason": "x"})
    told = (await world.get("/api/v1/jobs/7", "ada")).json["requests"]
    assert [each["verb"] for each in told] == verbs[1:]


async def test_a_browser_gets_an_error_in_the_frame_of_the_pages(world: World) -> None:
    page = await world.get("/nowhere", "ada", Accept="text/html")
    text = page.body.decode()
    assert page.status == 404
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<nav" in text
    assert "there is no such page" in text


async def test_the_page_about_the_api_needs_nothing_from_elsewhere(world: World) -> None:
    page = await world.get("/api", "ada")
    text = page.body.decode()
    assert page.headers["Content-Type"].startswith("text/html")
    assert "/api/v1/jobs/{jobid}/requeue" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text
    assert (await world.get("/api/style.css", "ada")).headers["Content-Type"].startswith("text/css")


async def test_every_answer_tells_browsers_to_be_careful(world: World) -> None:
    for path in ("/api", "/api/v1/jobs", "/nowhere"):
        headers = (await world.get(path, "ada")).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
