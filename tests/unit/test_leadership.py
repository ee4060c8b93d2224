"""The lease as its holder sees it: when it may act, and who is proved dead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.recovery.leadership import Leadership, is_dead, short_name, this_process
from ajrd.store.store import Store
from tests.unit.samples import at

TTL, LIMIT = 20.0, 10.0


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/ajrd.sqlite"


def leadership(store: Store, ticks: Ticks, holder: str = "b.1.2.3") -> Leadership:
    return Leadership(store, holder, "head1", TTL, LIMIT, ticks)


async def test_the_holder_stops_so_early_that_a_command_ends_within_the_lease(url: str) -> None:
    store, ticks = await Store.open(url), Ticks()
    mine = leadership(store, ticks)
    assert not mine.may_act()
    assert await mine.acquire()
    ticks.now += TTL - LIMIT - 1.5
    assert mine.may_act()
    ticks.now += 1
    assert not mine.may_act()
    await store.close()


async def test_a_lease_that_was_given_back_is_free_and_one_that_lasts_is_not(url: str) -> None:
    first, second, ticks = await Store.open(url), await Store.open(url), Ticks()
    mine, other = leadership(first, ticks), leadership(second, ticks, "c.1.2.3")
    assert await mine.acquire()
    assert not await other.acquire()
    await mine.release()
    assert not mine.may_act()
    assert await other.acquire()
    await first.close()
    await second.close()


async def test_a_holder_that_was_replaced_can_write_nothing(url: str) -> None:
    first, second, ticks = await Store.open(url), await Store.open(url), Ticks()
    mine, other = leadership(first, ticks), leadership(second, ticks, "c.1.2.3")
    assert await mine.acquire()
    assert await other.acquire(steal=True)
    with pytest.raises(NotLeader):
        await first.log(at(1), "event", "message")
    await second.log(at(1), "event", "message")
    await first.close()
    await second.close()


async def test_a_dead_holder_of_this_host_is_not_waited_for(url: str) -> None:
    first, second, ticks = await Store.open(url), await Store.open(url), Ticks()
    boot, space, _pid, _start = this_process().split(".")
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    assert await leadership(first, ticks, f"{boot}.{space}.{gone.pid}.77").acquire()
    assert await leadership(second, ticks).acquire()
    await first.close()
    await second.close()


async def test_who_waits_goes_on_waiting_while_the_database_is_away(url: str) -> None:
    first, second, ticks = await Store.open(url), await Store.open(url), Ticks()
    holder, waiting = leadership(first, ticks), leadership(second, ticks, "c.1.2.3")
    assert await holder.acquire()
    path = Path(url.removeprefix("sqlite+aiosqlite:///"))
    aside = path.with_suffix(".aside")
    await first.release_lease()
    await second.close()
    path.rename(aside)
    path.mkdir()
    assert not await waiting.attempt()
    path.rmdir()
    aside.rename(path)
    async with asyncio.timeout(30):
        await waiting.wait()
    assert waiting.may_act()
    await first.close()
    await second.close()


async def test_a_database_that_is_away_leaves_the_lease_to_run_out(url: str) -> None:
    store, ticks = await Store.open(url), Ticks()
    mine = leadership(store, ticks)
    assert await mine.acquire()
    await store.close()
    Path(url.removeprefix("sqlite+aiosqlite:///")).write_bytes(b"no database")
    with pytest.raises(StoreUnavailable):
        await store.renew_lease(TTL)
    assert mine.may_act()
    ticks.now += TTL
    assert not mine.may_act()


def test_this_process_and_those_of_other_hosts_are_not_dead() -> None:
    assert not is_dead(this_process())
    assert not is_dead("0123456789abcdef.4026531836.1.1")
    assert not is_dead("")
    assert not is_dead("x.y")


def test_another_process_with_the_number_of_a_dead_one_is_not_taken_for_it() -> None:
    boot, space, pid, _start = this_process().split(".")
    assert is_dead(f"{boot}.{space}.{pid}.1")


def test_the_short_name_tells_host_and_process() -> None:
    assert short_name("0123456789abcdef.4026531836.4711.99") == "0123-4711"
