"""The pages as the server makes them: what they show, and to whom."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from ajrd.model import Kind, Role, Verb
from ajrd.web.identity import Identity, Way
from ajrd.web.pages.look import LANES
from tests.web.looking import Seen
from tests.web.place import ADA, BOB, Place, now
from tests.web.stories import CHAIN, SEGFAULT, seconds, verification

Client = TestClient[Any, Any]
PAGES = ["/", "/?view=table", "/jobs/7", "/nodes", "/anomalies", "/efficiency", "/service", "/help"]
#: Markup, a break out of an attribute, a control byte, and characters that turn a line around.
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)> \x1b[31m\u202egnp.exe\u2066'


async def seen(client: Client, path: str, status: int = 200) -> Seen:
    """A page."""
    response = await client.get(path)
    assert response.status == status, await response.text()
    return Seen(await response.text())


async def told(place: Place) -> None:
    """The job of the verification, an hour ago."""
    await verification(place.teller, now() - timedelta(hours=3))


async def test_the_verification_shows_two_bars_and_a_triangle(place: Place, client: Client) -> None:
    await told(place)
    page = await seen(client, "/")
    assert len(page.all("g", class_="bar recovered")) == 1
    assert len(page.all("g", class_="bar completed")) == 1
    (triangle,) = page.all("a", class_="mark root")
    assert triangle["href"].startswith("/jobs/7#anomaly-")
    assert triangle["aria-label"] == "CRASH, segmentation fault"


async def test_a_tooltip_tells_what_where_when_and_what_was_decided(
    place: Place, client: Client
) -> None:
    await told(place)
    page = await seen(client, "/")
    assert len(page.all("div", role="tooltip")) == 1
    tip = page.words[page.words.rindex(" first cause") :]
    for words in ("CRASH", "segmentation fault", "root", "job 7, attempt 0", "n1", SEGFAULT):
        assert words in tip
    assert re.search(r"rank\s+0", tip)
    assert re.search(
        r"requeue\s+CRASH segfault: requeue 1 of 1\s+converged: successor started", tip
    )


async def test_the_gap_of_a_recovery_shows_the_hold(place: Place, client: Client) -> None:
    await told(place)
    page = await seen(client, "/")
    assert len([each for each in page.all("rect", class_="gap hold") if "x" in each]) == 1


async def test_the_table_tells_the_same(place: Place, client: Client) -> None:
    await told(place)
    page = await seen(client, "/?view=table")
    assert page.all("g", class_="bar") == []
    for words in ("recovered by ajrd", "completed", "CRASH", "requeue 1 of 1", "n[1-2]"):
        assert words in page.words


async def test_a_job_tells_evidence_decision_actions_and_logs(place: Place, client: Client) -> None:
    await told(place)
    page = await seen(client, "/jobs/7")
    for words in (
        SEGFAULT,
        "iteration 4811 | loss 2.30 | 409 ms",
        "srun: error: n1: task 0",
        "CRASH segfault: requeue 1 of 1",
        "scontrol requeuehold 7",
        "successor started",
        "step 4811",
        '"auto_resume_mode": "requeue"',
        "attempt 1 COMPLETED",
    ):
        assert words in page.words


async def test_the_downtime_of_an_attempt_is_split(place: Place, client: Client) -> None:
    job = await place.teller.job("7", now() - timedelta(hours=2))
    attempt = await place.teller.attempt(job, 0, now() - timedelta(hours=2))
    attempt = await place.teller.ends(attempt, now() - timedelta(hours=1), "FAILED")
    await place.teller.efficiency(job, attempt, "segfault", lost=900, detection=5.5, saved=1800)
    page = await seen(client, "/jobs/7")
    assert page.all("rect", class_="part lost")
    assert re.search(r"lost work\s+15 min", page.words)
    assert re.search(r"detection\s+5.5 s", page.words)


async def test_others_do_not_exist_for_a_user(place: Place, client: Client) -> None:
    await told(place)
    place.who = BOB
    for path in ("/", "/?view=table", "/nodes", "/anomalies", "/efficiency", "/fragments/timeline"):
        page = await seen(client, path)
        assert "gpt-pretrain" not in page.words
        assert not any("/jobs/7" in address for address in page.addresses())
    for path in ("/jobs/7", "/fragments/jobs/7"):
        assert "gpt-pretrain" not in (await seen(client, path, 404)).words


async def test_an_owner_sees_and_may_steer_his_jobs(place: Place, client: Client) -> None:
    await told(place)
    place.who = ADA
    assert (await seen(client, "/")).all("a", class_="mark")
    buttons = (await seen(client, "/jobs/7")).all("button")
    verbs = [each["data-verb"] for each in buttons if "data-verb" in each]
    assert verbs == ["pause", "requeue", "release", "abandon"]


async def test_nobody_in_particular_is_turned_away(place: Place, client: Client) -> None:
    await told(place)
    place.who = type(ADA)("", operator=False, way=ADA.way)
    for path in ("/", "/jobs/7", "/nodes", "/anomalies", "/efficiency", "/fragments/timeline"):
        page = await seen(client, path, 403)
        assert "Not for you" in page.words
        assert "gpt-pretrain" not in page.words


async def test_what_people_asked_for_is_told(place: Place, client: Client) -> None:
    job = await place.teller.job("7", now(), paused=True)
    await place.teller.request(job, "pause", "root", "maintenance of n1", "paused")
    page = await seen(client, "/jobs/7")
    assert re.search(r"pause\s+root\s+maintenance of n1\s+done\s+paused", page.words)
    assert page.all("button", data_verb="resume")
    assert "paused" in (await seen(client, "/")).words


async def test_who_only_reads_gets_no_buttons(place: Place, client: Client) -> None:
    await told(place)
    place.who = type(ADA)("", operator=False, way=ADA.way, reads_all=True)
    page = await seen(client, "/jobs/7")
    assert not any("data-verb" in each for each in page.all("button"))


async def test_suspicions_and_evidence_of_nodes_are_one_failure_each(
    place: Place, client: Client
) -> None:
    job = await place.teller.job("7", now() - seconds(900))
    attempt = await place.teller.attempt(job, 0, now() - seconds(800), "gpu[1-2]")
    found = await place.teller.anomaly(attempt, now() - seconds(60), facts={"node": "gpu1.site"})
    await place.teller.suspicion(attempt, "gpu1", found, excluded=True)
    page = await seen(client, "/nodes")
    assert [each["class"] for each in page.all("td", class_="heat-1")] == ["heat-1"]
    assert "successor kept away" in page.words


async def test_causes_are_counted_by_week_and_lead_to_jobs(place: Place, client: Client) -> None:
    await told(place)
    job = await place.teller.job("8", now() - timedelta(weeks=3, hours=2))
    attempt = await place.teller.attempt(job, 0, now() - timedelta(weeks=3, hours=1))
    for number in range(3):
        await place.teller.anomaly(
            attempt,
            now() - timedelta(weeks=3) + seconds(number),
            kind=Kind.HANG,
            cause="nccl_timeout",
            role=Role.ROOT if number else Role.CASCADE,
        )
    page = await seen(client, "/anomalies")
    assert re.search(r"NCCL timeout\s+HANG\s+1\b", page.words)
    only = await seen(client, "/anomalies?cause=nccl_timeout")
    assert {URL(a).path for a in only.addresses() if a.startswith("/jobs")} == {"/jobs/8"}


async def test_efficiency_adds_up_weeks(place: Place, client: Client) -> None:
    job = await place.teller.job("7", now() - timedelta(hours=12))
    for idx, weeks in enumerate((0, 2)):
        at = now() - timedelta(weeks=weeks, hours=10)
        attempt = await place.teller.attempt(job, idx, at)
        attempt = await place.teller.ends(attempt, at + timedelta(hours=10), "FAILED")
        await place.teller.efficiency(job, attempt, "segfault", lost=3600, saved=1800)
    page = await seen(client, "/efficiency")
    assert re.search(r"ETTR\s+90.0 %", page.words)
    assert re.search(r"288 of 320 GPU-hours", page.words)
    assert re.search(r"Saved\s+1 h\b", page.words)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("", {"7", "8", "9_3"}),
        ("?user=ada", {"7", "9_3"}),
        ("?partition=cpu", {"8"}),
        ("?outcome=running", {"8"}),
        ("?outcome=recovered", {"7"}),
        ("?q=7", {"7"}),
        ("?q=9", {"9_3"}),
        ("?q=pretr", {"7"}),
        ("?q=n2", {"7", "9_3"}),
        ("?q=n3", {"8"}),
        ("?q=n4", set()),
        ("?q=%25", set()),
        ("?user=ada&q=bob", set()),
    ],
)
async def test_jobs_are_found(place: Place, client: Client, asked: str, shown: set[str]) -> None:
    await told(place)
    other = await place.teller.job("8", now(), name="lattice", user="bob", partition="cpu")
    await place.teller.attempt(other, 0, now() - seconds(5), "n3", 1)
    third = await place.teller.job("9_3", now() - seconds(99), name="array")
    attempt = await place.teller.attempt(third, 0, now() - seconds(90))
    await place.teller.ends(attempt, now() - seconds(9), "FAILED")
    page = await seen(client, f"/{asked}")
    assert {each["data-job"] for each in page.all("div", class_="lane")} == shown


async def test_a_span_shows_what_overlaps_it(place: Place, client: Client) -> None:
    at = now() - timedelta(hours=30)
    await verification(place.teller, at)
    early, late = (at + seconds(1000)).isoformat(), (at + seconds(2000)).isoformat()
    for asked, lanes in (("?range=24h", 0), ("?range=7d", 1), (f"?from={early}&to={late}", 1)):
        page = await seen(client, "/" + asked.replace("+", "%2B"))
        assert len(page.all("div", class_="lane")) == lanes, asked


@pytest.mark.parametrize(
    "asked",
    [
        "?range=9y",
        "?from=soon",
        "?page=-3",
        "?width=x",
        "?from=1&to=0",
        "?from=0001-01-01&to=0001-01-02",
    ],
)
async def test_nonsense_is_taken_for_nothing(place: Place, client: Client, asked: str) -> None:
    await told(place)
    assert (await seen(client, f"/{asked}")).all("a", class_="mark")


async def test_more_jobs_than_lanes_lie_on_further_pages(place: Place, client: Client) -> None:
    for number in range(LANES + 3):
        await place.teller.job(str(number + 1), now() - seconds(number))
    first, second = await seen(client, "/"), await seen(client, "/?page=2")
    shown = [{each["data-job"] for each in it.all("div", class_="lane")} for it in (first, second)]
    assert [len(each) for each in shown] == [LANES, 3]
    assert not shown[0] & shown[1]
    assert first.all("a", data_key="page-on")
    assert not second.all("a", data_key="page-on")


async def test_the_jobs_of_a_chain_lie_together(place: Place, client: Client) -> None:
    for number, name in enumerate(("era5", "other", "era5")):
        at = now() - seconds(100 + number)
        comment = CHAIN if name == "era5" else ""
        await place.teller.job(str(number + 1), at, name=name, comment=comment)
    page = await seen(client, "/")
    assert [each["data-job"] for each in page.all("div", class_="lane")] == ["1", "3", "2"]
    assert len(page.all("section", class_="group chain")) == 1
    assert "chain of 2 jobs" in page.words


async def test_nothing_that_strangers_write_becomes_markup(place: Place, client: Client) -> None:
    job = await place.teller.job("7", now() - seconds(60), name=HOSTILE, comment=HOSTILE)
    attempt = await place.teller.attempt(job, 0, now() - seconds(50), HOSTILE)
    found = await place.teller.anomaly(
        attempt,
        now() - seconds(40),
        HOSTILE,
        facts={"node": HOSTILE, "rank": HOSTILE},
        before=(HOSTILE,),
        source=f"/w/{HOSTILE}",
    )
    await place.teller.decision(job, attempt, found, Verb.STOP, HOSTILE)
    await place.teller.suspicion(attempt, HOSTILE, found, excluded=False)
    for path in PAGES:
        text = await (await client.get(path)).text()
        page = Seen(text)
        assert not page.all("img")
        assert all(attrs.get("src") for attrs in page.all("script"))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text), path
        if path not in ("/efficiency", "/service", "/help"):
            assert "<script>alert(1)" in page.words


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_inline_script_or_style(place: Place, client: Client, path: str) -> None:
    await told(place)
    response = await client.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    for tag, attrs in Seen(await response.text()).tags:
        assert tag != "style"
        assert not [name for name in attrs if name == "style" or name.startswith("on")]


async def test_pages_live_below_a_prefix(place: Place) -> None:
    place.base = "/tools/ajrd"
    await told(place)
    async with TestClient(TestServer(place.application())) as client:
        for path in PAGES:
            page = await seen(client, f"/tools/ajrd{path}")
            for address in page.addresses():
                assert address.startswith("/tools/ajrd/"), address
        style = next(each["href"] for each in page.all("link", rel="stylesheet"))
        assert (await client.get(style)).status == 200
        assert page.all("a", href="/tools/ajrd/help", aria_current="page")


async def test_assets_are_kept_for_good_under_their_digest_alone(client: Client) -> None:
    page = await seen(client, "/help")
    style = next(each["href"] for each in page.all("link", rel="stylesheet"))
    response = await client.get(style)
    assert "immutable" in response.headers["Cache-Control"]
    assert response.content_type == "text/css"
    again = await client.get(style, headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304
    other = await client.get("/static/0123/ajrd.css")
    assert other.headers["Cache-Control"] == "no-cache"
    for path in ("/static/0123/none.css", "/static/0123/..%2Fsite.py"):
        assert (await client.get(path)).status == 404


async def test_a_store_that_is_away_is_told_of_with_its_time(place: Place, client: Client) -> None:
    place.database.breaker.failed("no route to db1")
    place.database.breaker.away_since = time.monotonic() - 125
    response = await client.get("/")
    text = " ".join(Seen(await response.text()).words.split())
    assert response.status == 503
    assert response.headers["Retry-After"]
    assert "for 2 min 5 s" in text
    assert "no route to db1" in text
    assert (await client.get("/help")).status == 200
    service = await seen(client, "/service")
    assert "no route to db1" in service.words


async def test_the_service_page_tells_of_leader_sources_and_troubles(
    place: Place, client: Client
) -> None:
    await place.store.acquire_lease("3fa9c1", "head2", 99, 20.0)
    page = await seen(client, "/service")
    for words in (
        "head2, pid 99",
        "25.11.7",
        "412 rules",
        "1 min 34 s",
        "503 from Loki",
        "answers",
    ):
        assert words in page.words
    place.service.changes["slurm_seen_at"] = now() - timedelta(minutes=5)
    assert "silent" in (await seen(client, "/service")).words


async def test_what_names_hosts_and_jobs_of_others_is_for_operators(
    place: Place, client: Client
) -> None:
    await place.store.acquire_lease("3fa9c1", "head2", 99, 20.0)
    told = await seen(client, "/service")
    place.who = Identity("ada", operator=False, way=Way.PROXY)
    page = await seen(client, "/service")
    facts = place.service.facts()
    secrets = [facts.host, facts.store_url, facts.troubles[0].message, "503 from Loki", "head2"]
    assert [text for text in secrets if text not in told.words] == []
    assert [text for text in secrets if text in page.words] == []
    assert "somebody leads" in page.words
    place.database.breaker.failed("no route to db1")
    away = await client.get("/")
    assert away.status == 503
    assert "no route to db1" not in await away.text()


@pytest.mark.parametrize("path", ["/", "/nodes", "/anomalies", "/efficiency"])
async def test_an_empty_store_says_so(client: Client, path: str) -> None:
    page = await seen(client, path)
    assert page.all("div", class_="empty")


async def test_what_speaks_against_a_cause_is_no_anomaly(place: Place, client: Client) -> None:
    at = now() - timedelta(minutes=5)
    attempt = await place.teller.attempt(await place.teller.job("7", at), 0, at)
    text = "srun: forcing job termination"
    await place.teller.anomaly(attempt, at, text, role=Role.BENIGN, kind=Kind.OOM, cause="oom_host")
    for path in ("/", "/jobs/7"):
        page = await seen(client, path)
        assert "7" in page.words
        assert text not in page.words


async def test_a_job_that_has_not_started_says_why(place: Place, client: Client) -> None:
    await place.teller.job("7", now(), reason="QOSMaxGRESPerUser")
    assert "QOSMaxGRESPerUser" in (await seen(client, "/jobs/7")).words
