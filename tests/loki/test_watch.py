"""Nothing that reached Loki is lost or told twice, whatever becomes of tails and servers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from ajrd.loki.health import State
from ajrd.loki.logql import Filters
from ajrd.loki.questions import Selection
from ajrd.loki.watch import cursor_name
from ajrd.model import JobState
from tests.loki.double import Double
from tests.loki.place import Place
from tests.loki.shipping import Shipper, numbered
from tests.loki.world import CRASH, DIRECTIVE, STEP, World, now, until, watching

SECOND = 10**9
LINES, CRASHES = 100_000, 50


def burst(start: int) -> list[tuple[int, str]]:
    """A second of healthy lines with crash lines among them."""
    every = LINES // CRASHES
    lines = [
        CRASH.format(n // every) if n % every == every // 2 else f"[{n}] all is well so far"
        for n in range(LINES)
    ]
    return numbered(lines, start, SECOND // LINES)


@pytest.mark.parametrize("how", ["tail", "sweep", "both"])
async def test_every_crash_line_of_a_burst_is_kept_once(
    world: World, loki: Place, how: str
) -> None:
    job = await world.job()
    ways: dict[str, dict[str, Any]] = {"tail": {"interval": 3600}, "sweep": {"tail": False}}
    changes = ways.get(how, {})
    async with watching(world, loki, job, **changes) as watch:
        if how != "sweep":
            await until(lambda: watch.health[0].tails > 0)
        await loki.shipper.ship(loki.labels(job_id="7"), burst(time.time_ns()))
        found = await world.kept(job.attempt.id, CRASHES)
        assert await watch.drain(job.attempt.id, 20)
    found = await world.store.anomalies(job.attempt.id)
    assert len(found) == CRASHES
    assert {record.anomaly.finding.text for record in found} == {
        CRASH.format(n) for n in range(CRASHES)
    }


async def test_a_burst_across_a_restart_of_loki_is_kept_once(world: World, double: Double) -> None:
    place = Place(double.url)
    double.rate = 1 << 30
    job = await world.job()
    values = burst(time.time_ns())
    async with watching(world, place, job) as watch:
        await until(lambda: watch.health[0].tails > 0)
        await place.shipper.ship(place.labels(job_id="7"), values[: LINES // 2])
        await asyncio.to_thread(double.stop)
        await until(lambda: watch.health[0].state is State.AWAY)
        await asyncio.to_thread(double.start)
        await place.shipper.ship(place.labels(job_id="7"), values[LINES // 2 :])
        await world.kept(job.attempt.id, CRASHES)
        assert await watch.drain(job.attempt.id, 20)
    assert len(await world.store.anomalies(job.attempt.id)) == CRASHES


async def test_a_burst_across_a_restart_of_the_watch_is_kept_once(
    world: World, loki: Place
) -> None:
    job = await world.job()
    values = burst(time.time_ns())
    async with watching(world, loki, job):
        await loki.shipper.ship(loki.labels(job_id="7"), values[: LINES // 2])
        await world.kept(job.attempt.id, 3)
    await loki.shipper.ship(loki.labels(job_id="7"), values[LINES // 2 :])
    async with watching(world, loki, job) as watch:
        await world.kept(job.attempt.id, CRASHES)
        assert await watch.drain(job.attempt.id, 20)
    assert len(await world.store.anomalies(job.attempt.id)) == CRASHES


async def test_a_line_tells_its_place_and_what_stands_around_it(world: World, loki: Place) -> None:
    job = await world.job()
    start = time.time_ns()
    lines = ["one", "two", CRASH.format(3), "three", "four"]
    async with watching(world, loki, job):
        labels = loki.labels(job_id="7", filename="/w/out.log", node="n1")
        await loki.shipper.ship(labels, numbered(lines, start, 1000))
        anomaly = (await world.kept(job.attempt.id, 1))[0].anomaly
    assert anomaly.source == "loki:n1:/w/out.log"
    assert anomaly.finding.offset == start + 2000
    assert anomaly.finding.facts["rank"] == "3"
    assert anomaly.finding.before == ("one", "two")
    assert anomaly.finding.after[:1] == ("three",)


async def test_progress_is_told_with_its_place_behind_the_line(world: World, loki: Place) -> None:
    job = await world.job()
    start = time.time_ns()
    async with watching(world, loki, job):
        lines = [CRASH.format(0), STEP.format(17)]
        await loki.shipper.ship(loki.labels(job_id="7"), numbered(lines, start))
        await until(lambda: world.heard.pulses and world.heard.anomalies)
        await until(lambda: world.heard.pulses[-1][1].offset == start + 1)
    anomaly, pulse = world.heard.anomalies[0][1], world.heard.pulses[-1][1]
    assert pulse.source == anomaly.source
    assert anomaly.finding.offset == start
    sources = await world.store.sources(job.attempt.id)
    assert 17 in {source.progress_step for source in sources}


async def test_a_late_line_is_found_within_the_overlap(world: World, loki: Place) -> None:
    job = await world.job(age=120)
    async with watching(world, loki, job, tail=False) as watch:
        assert await watch.drain(job.attempt.id, 20)
        stream = loki.labels(job_id="7")
        await loki.shipper.ship(stream, [(time.time_ns() - 20 * SECOND, CRASH.format(1))])
        assert len(await world.kept(job.attempt.id, 1)) == 1


async def test_a_line_later_than_the_overlap_is_found_by_a_deeper_sweep(
    world: World, loki: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajrd.loki.tenant.DEEP_EVERY", 0.5)
    job = await world.job(age=1200)
    async with watching(world, loki, job, tail=False, overlap=5) as watch:
        assert await watch.drain(job.attempt.id, 20)
        late = [(time.time_ns() - 900 * SECOND, CRASH.format(1))]
        await loki.shipper.ship(loki.labels(job_id="7"), late)
        assert len(await world.kept(job.attempt.id, 1)) == 1


async def test_what_is_found_late_is_told_after_the_progress_that_answers_it(
    world: World, loki: Place
) -> None:
    job, start = await world.job(age=600), time.time_ns() - 300 * SECOND
    values = numbered([CRASH.format(1), STEP.format(5)], start, 60 * SECOND)
    await loki.shipper.ship(loki.labels(job_id="7"), values)
    told: list[str] = []
    async with watching(world, loki, job, tail=False) as watch:
        watch.hear = lambda _attempt, seen, pulse: told.extend(
            ["anomaly"] * len(seen) + ["progress"] * (pulse is not None)
        )
        await world.kept(job.attempt.id, 1)
    assert told[:2] == ["progress", "progress"]
    assert "anomaly" in told


async def test_progress_is_asked_for_once_a_job_however_many_ranks_have_crashed(
    world: World, loki: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    progress_of = Selection.progress_of

    def counted(self: Selection, label: str, value: str, filters: Filters) -> list[str]:
        asked.append(value)
        return progress_of(self, label, value, filters)

    monkeypatch.setattr(Selection, "progress_of", counted)
    job, start = await world.job(age=600), time.time_ns() - 300 * SECOND
    for rank in range(20):
        stream = loki.labels(job_id="7", node=f"n{rank}")
        await loki.shipper.ship(stream, [(start + rank, CRASH.format(rank))])
    async with watching(world, loki, job, tail=False, interval=3600):
        await world.kept(job.attempt.id, 20)
    assert 1 <= len(asked) < 10


async def test_an_owner_s_own_form_of_progress_is_asked_for(world: World, loki: Place) -> None:
    job = await world.job()
    directive = replace(DIRECTIVE, progress=r"^cycle (?P<step>\d+) done")
    async with watching(world, loki) as watch:
        await job.attend(watch, directive)
        line = [(time.time_ns(), "cycle 17 done")]
        await loki.shipper.ship(loki.labels(job_id="7"), line)
        await until(lambda: world.heard.pulses)
    assert [source.progress_step for source in await world.store.sources(job.attempt.id)][-1] == 17


async def test_an_attempt_that_ran_before_it_was_known_is_read_from_its_start(
    world: World, loki: Place
) -> None:
    other, job = await world.job("8"), await world.job("7", age=600)
    stream = loki.labels(job_id="7")
    await loki.shipper.ship(stream, [(time.time_ns() - 500 * SECOND, CRASH.format(1))])
    async with watching(world, loki, other, tail=False, overlap=1, late=1) as watch:
        assert await watch.drain(other.attempt.id, 20)
        await job.attend(watch)
        assert len(await world.kept(job.attempt.id, 1)) == 1


async def test_lines_of_nobody_are_counted_and_dropped(world: World, loki: Place) -> None:
    job = await world.job()
    async with watching(world, loki, job, tail=False) as watch:
        await loki.shipper.ship(loki.labels(job_id="8"), [(time.time_ns(), CRASH.format(8))])
        await loki.shipper.ship(loki.labels(job_id="7"), [(time.time_ns(), CRASH.format(7))])
        await world.kept(job.attempt.id, 1)
        assert watch.health[0].unmanaged > 0
    assert [each.anomaly.finding.text for each in await world.store.anomalies(job.attempt.id)] == [
        CRASH.format(7)
    ]


async def test_each_attempt_gets_the_lines_of_its_own_time(world: World, loki: Place) -> None:
    first = await world.job()
    stream = loki.labels(job_id="7")
    async with watching(world, loki, first, tail=False) as watch:
        await loki.shipper.ship(stream, [(time.time_ns(), CRASH.format(0))])
        await world.kept(first.attempt.id, 1)
    second = await first.restart()
    async with watching(world, loki, second) as watch:
        await loki.shipper.ship(stream, [(time.time_ns(), CRASH.format(1))])
        found = await world.kept(second.attempt.id, 1)
        await watch.drain(second.attempt.id, 20)
    assert [each.anomaly.finding.text for each in found] == [CRASH.format(1)]
    assert len(await world.store.anomalies(first.attempt.id)) == 1


async def test_a_line_after_the_last_look_waits_for_the_next(world: World, loki: Place) -> None:
    job = await world.job()
    async with watching(world, loki, tail=False) as watch:
        await job.attend(watch)
        ahead = time.time_ns() + 5 * SECOND
        await loki.shipper.ship(loki.labels(job_id="7"), [(ahead, CRASH.format(1))])
        await until(lambda: watch.health[0].early > 0)
        assert await world.store.anomalies(job.attempt.id) == []
        second = await job.restart()
        second = replace(second, attempt=replace(second.attempt, started_at=now()))
        await until(lambda: time.time_ns() > ahead - SECOND)
        await second.attend(watch)
        assert len(await world.kept(second.attempt.id, 1)) == 1
    assert await world.store.anomalies(job.attempt.id) == []


async def test_each_tenant_has_its_tails_and_its_cursor(world: World, double: Double) -> None:
    double.must_name_tenant = True
    job, name = await world.job(), Place(double.url).name
    async with watching(world, Place(double.url, name), job, tenants=("a", "b")) as watch:
        await until(lambda: all(health.tails for health in watch.health))
        for number, tenant in enumerate(("a", "b")):
            labels, line = {"job": name, "job_id": "7"}, CRASH.format(number)
            await Shipper(double.url, tenant).ship(labels, [(time.time_ns(), line)])
        await world.kept(job.attempt.id, 2)
        assert await watch.drain(job.attempt.id, 20)
    cursors = [await world.store.loki_cursor(cursor_name(double.url, each)) for each in ("a", "b")]
    assert all(cursors)


async def test_a_node_s_own_log_speaks_of_the_attempts_on_it(world: World, loki: Place) -> None:
    job = await world.job(nodes="n[1-2]")
    xid = "NVRM: Xid (PCI:0000:3b:00): 79, pid=4711, name=python, GPU has fallen off the bus."
    oom = "Out of memory: Killed process 4711 (python) total-vm:1kB, anon-rss:1kB"
    nodes = (f'{{job="{loki.name}k"}}',)
    async with watching(world, loki, job, nodes=nodes) as watch:
        stamp = time.time_ns()
        for node in ("n2.example.org", "n3"):
            labels = {"job": f"{loki.name}k", "host": node}
            await loki.shipper.ship(labels, [(stamp, xid), (stamp + 1, oom)])
        await world.kept(job.attempt.id, 1)
        await watch.drain(job.attempt.id, 20)
    found = await world.store.anomalies(job.attempt.id)
    assert {each.anomaly.finding.cause for each in found} <= {"gpu_lost", "xid"}
    assert {each.anomaly.finding.facts["node"] for each in found} == {"n2"}


async def test_without_the_store_reading_goes_on_and_nothing_is_lost(
    world: World, loki: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ajrd.errors import StoreUnavailable

    job = await world.job()

    async def away(*_arguments: object) -> object:
        raise StoreUnavailable("away")

    async with watching(world, loki, job, tail=False) as watch:
        await watch.drain(job.attempt.id, 20)
        with monkeypatch.context() as broken:
            broken.setattr(world.store, "record_sweep", away)
            await loki.shipper.ship(loki.labels(job_id="7"), [(time.time_ns(), CRASH.format(1))])
            await until(lambda: world.heard.anomalies)
        assert len(await world.kept(job.attempt.id, 1)) == 1


async def test_a_refused_user_is_said_to_be_and_tried_again(
    world: World, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajrd.loki.tail.REFUSED_PAUSE", 0.1)
    place, job = Place(double.url), await world.job()
    double.secret = "Bearer other"
    async with watching(world, place, job) as watch:
        await until(lambda: watch.health[0].state is State.DENIED)
        assert not await watch.drain(job.attempt.id, 0.5)
        double.secret = ""
        await until(lambda: watch.health[0].state is State.WELL)


async def test_without_any_job_it_is_known_whether_loki_can_be_had(
    world: World, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ajrd.loki.tail.REFUSED_PAUSE", 0.1)
    place = Place(double.url)
    double.secret = "Bearer other"
    async with watching(world, place) as watch:
        await until(lambda: watch.health[0].state is State.DENIED)
        double.secret = ""
        await until(lambda: watch.health[0].state is State.WELL)
        assert watch.health[0].entries == 0


async def test_an_ended_job_is_read_to_its_end(world: World, loki: Place) -> None:
    job = await world.job()
    job = replace(job, seen=replace(job.seen, state=JobState.FAILED))
    async with watching(world, loki, tail=False, interval=3600) as watch:
        await job.attend(watch)
        await until(lambda: watch.health[0].state is State.WELL)
        await loki.shipper.ship(loki.labels(job_id="7"), [(time.time_ns(), CRASH.format(1))])
        assert await watch.drain(job.attempt.id, 20)
        assert len(await world.store.anomalies(job.attempt.id)) == 1
