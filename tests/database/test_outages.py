"""The database away in every way: said in time, nothing half kept, back without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ajrd.errors import StoreUnavailable
from ajrd.store.breaker import REST, Breaker
from ajrd.store.read import Reader
from ajrd.store.store import Store
from tests.database.proxy import Proxy
from tests.database.samples import POSITION, a_job
from tests.database.server import Schema
from tests.unit.samples import anomaly, at

#: The store's time limit here, seconds, and one that no test may need.
LIMIT, NEVER = 0.5, 20.0
_STATES = "SELECT STATE FROM information_schema.PROCESSLIST"


@pytest.fixture
def proxy(mysql: Schema) -> Iterator[Proxy]:
    with Proxy(mysql.server.port) as proxy:
        yield proxy


@pytest.fixture
async def far(mysql: Schema, proxy: Proxy) -> AsyncIterator[Store]:
    """A store behind the proxy."""
    store = await Store.open(mysql.address(proxy.port, timeout=LIMIT))
    yield store
    await store.close()


async def writes(store: Store) -> bool:
    """Can it be written to again?"""
    try:
        await store.log(at(9), "back", "")
    except StoreUnavailable:
        return False
    return True


async def until_back(store: Store) -> None:
    async with asyncio.timeout(NEVER):
        while not await writes(store):
            await asyncio.sleep(0.02)


async def test_lost_packets_are_an_outage_and_never_a_hang(far: Store, proxy: Proxy) -> None:
    _, attempt = await a_job(far)
    await asyncio.gather(*(far.open_jobs("c") for _ in range(4)), far.log(at(1), "x", "y"))
    proxy.stall()
    async with asyncio.timeout(NEVER):
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await far.record_evidence(attempt, [anomaly()], POSITION, None, at(1))
        assert far.away_since is not None
        with pytest.raises(StoreUnavailable):
            await far.open_jobs("c")
    proxy.resume()
    await until_back(far)
    assert far.away_since is None
    await far.record_evidence(attempt, [anomaly()], POSITION, None, at(2))
    assert len(await far.anomalies(attempt.id)) == 1


@pytest.mark.parametrize("after", range(6))
async def test_no_answer_is_read_by_another_transaction(
    far: Store, proxy: Proxy, after: int
) -> None:
    """Packets get lost behind any statement of a transaction; what comes late is never taken."""
    _, attempt = await a_job(far)
    task = asyncio.create_task(
        far.record_evidence(attempt, [anomaly(offset=n) for n in range(40)], POSITION, None, at(1))
    )
    for _ in range(after * 8):
        await asyncio.sleep(0)
    proxy.stall()
    async with asyncio.timeout(NEVER):
        with pytest.raises(StoreUnavailable):
            await task
    proxy.resume()
    await until_back(far)
    kept, positions = await far.anomalies(attempt.id), await far.positions(attempt.id)
    assert (len(kept), positions) in ((0, []), (40, [POSITION]))
    assert await far.attempts(attempt.job) == [attempt]


async def test_a_call_that_is_cancelled_leaves_nothing_behind(far: Store) -> None:
    _, attempt = await a_job(far)
    many = [anomaly(offset=n) for n in range(200)]
    task = asyncio.create_task(far.record_evidence(attempt, many, POSITION, None, at(1)))
    while not far._one_writer.locked():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await far.anomalies(attempt.id) == []
    assert far.away_since is None


async def test_many_calls_during_an_outage_do_not_wait_one_by_one(far: Store, proxy: Proxy) -> None:
    proxy.stall()
    answers = await asyncio.gather(
        *(far.open_jobs("c") for _ in range(200)),
        *(far.log(at(1), "x", "y") for _ in range(200)),
        return_exceptions=True,
    )
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    waited = [answer for answer in answers if "the database is away" not in str(answer)]
    assert len(waited) < 10
    proxy.resume()


async def test_what_one_statement_does_wrong_is_no_outage(far: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await far.log(at(1), None, "an event without a name")  # type: ignore[arg-type]
    assert far.away_since is None
    await far.log(at(1), "named", "")


async def test_nothing_is_half_kept_when_the_server_dies(mysql: Schema) -> None:
    """It is killed when the anomalies are written and the position behind them is not yet."""
    store = await Store.open(mysql.address())
    _, attempt = await a_job(store)
    with mysql.locked("log_positions"):
        task = asyncio.create_task(
            store.record_evidence(attempt, [anomaly()], POSITION, None, at(1))
        )
        async with asyncio.timeout(NEVER):
            while "metadata lock" not in await asyncio.to_thread(mysql.query, _STATES):
                await asyncio.sleep(0)
        await asyncio.to_thread(mysql.server.kill)
    with pytest.raises(StoreUnavailable):
        await task
    await asyncio.to_thread(mysql.server.start)
    await until_back(store)
    assert await store.anomalies(attempt.id) == []
    assert await store.positions(attempt.id) == []
    await store.close()


async def test_a_read_only_server_is_an_outage(mysql: Schema) -> None:
    store = await Store.open(mysql.address())
    mysql.query("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.log(at(1), "x", "y")
        assert store.away_since is not None
    finally:
        mysql.query("SET GLOBAL read_only = 0")
    await until_back(store)
    await store.close()


async def test_a_full_disk_is_an_outage(tmp_path: Path) -> None:
    """SQLite reaches the size that its connection is allowed."""
    store = await Store.open(f"sqlite:///{tmp_path}/a.sqlite")
    _, attempt = await a_job(store)
    async with store._transaction("testing") as db:
        await db.exec_driver_sql("PRAGMA max_page_count = 1")
    long = anomaly(text="y" * 65536)
    with pytest.raises(StoreUnavailable, match="full"):
        await store.record_evidence(attempt, [long], POSITION, None, at(1))
    assert store.away_since is not None
    await until_back(store)
    await store.close()


async def test_a_frozen_client_keeps_nobody_waiting_for_long(mysql: Schema) -> None:
    """The server ends a transaction whose client has fallen silent, and with it its locks."""
    store = await Store.open(mysql.address(timeout=5))
    async with store._transaction("testing") as db:
        waits = (await db.exec_driver_sql("SELECT @@wait_timeout")).scalar()
        locks = (await db.exec_driver_sql("SELECT @@innodb_lock_wait_timeout")).scalar()
    assert (waits, locks) == (10, 2)
    await store.close()


def test_a_command_gives_up_in_time_and_says_so(mysql: Schema, proxy: Proxy) -> None:
    address = mysql.address(proxy.port, timeout=LIMIT)
    reader = Reader(address)
    proxy.stall()
    with pytest.raises(StoreUnavailable, match="cannot read the database"):
        reader.recent_jobs(1, None, None)
    with pytest.raises(StoreUnavailable, match=f"cannot reach the database {mysql.name}"):
        Reader(address)
    reader.close()


class Clock:
    """Time that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_call_tries_while_the_others_fail_at_once() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    breaker.let_through()
    breaker.failed("gone")
    clock.now += REST / 2
    breaker.failed("still gone")
    assert breaker.away_since == 100.0
    with pytest.raises(StoreUnavailable, match="still gone"):
        breaker.let_through()
    clock.now += REST
    breaker.let_through()
    with pytest.raises(StoreUnavailable):
        breaker.let_through()
    breaker.broken_off()
    breaker.let_through()
    breaker.answered()
    breaker.let_through()
    breaker.let_through()
    assert breaker.away_since is None
