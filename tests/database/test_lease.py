"""The lease: one holder at a time, and a fence around everything that a former holder writes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.model import ActionState, Verb
from ajrd.recovery.sequence import STEPS
from ajrd.store.address import Address
from ajrd.store.read import Reader
from ajrd.store.store import Store
from tests.database.samples import POSITION, a_decision, a_job
from tests.database.server import Schema
from tests.unit.samples import anomaly, at

#: Seconds: a lease that lasts for the test, and one that is over when it has been taken.
LONG, OVER = 300.0, 0.0


@pytest.fixture
async def other(store: Store, address: Address) -> Store:
    """A second process on the same database; ended with the first one's event loop."""
    return await Store.open(address)


async def test_only_one_holds_the_lease(store: Store, other: Store) -> None:
    assert await store.acquire_lease("a", "h1", 1, LONG) == 1
    assert await other.acquire_lease("b", "h2", 2, LONG) is None
    assert await store.renew_lease(LONG)
    assert not await other.renew_lease(LONG)
    await other.close()


async def test_a_lease_that_is_given_back_or_has_run_out_is_free(
    store: Store, other: Store
) -> None:
    await store.acquire_lease("a", "h1", 1, LONG)
    await store.release_lease()
    assert await other.acquire_lease("b", "h2", 2, OVER) == 2
    assert await store.acquire_lease("a", "h1", 1, LONG) == 3
    await other.close()


async def test_a_lease_that_has_run_out_is_renewed_unless_it_was_taken(
    store: Store, other: Store
) -> None:
    await store.acquire_lease("a", "h1", 1, OVER)
    assert await store.renew_lease(OVER)
    await other.acquire_lease("b", "h2", 2, LONG)
    assert not await store.renew_lease(LONG)
    await store.release_lease()
    assert await other.renew_lease(LONG)
    await other.close()


async def test_a_holder_whose_answer_got_lost_takes_its_own_lease_again(store: Store) -> None:
    assert await store.acquire_lease("a", "h1", 1, LONG) == 1
    assert await store.acquire_lease("a", "h1", 1, LONG) == 2


async def test_a_former_holder_writes_nothing_more(store: Store, other: Store) -> None:
    record, attempt = await a_job(store)
    await store.acquire_lease("a", "h1", 1, OVER)
    decision = await store.write_decision(a_decision(attempt), record, attempt, STEPS[Verb.REQUEUE])
    assert decision is not None
    await other.acquire_lease("b", "h2", 2, LONG)
    action = decision.actions[0]
    for writing in (
        store.claim(action, at(1), "7"),
        store.finish(action, attempt, ActionState.DONE, "", at(1)),
        store.record_evidence(attempt, [anomaly()], POSITION, None, at(1)),
        store.save_job(replace(record, state="PENDING")),
        store.log(at(1), "x", "y"),
    ):
        with pytest.raises(NotLeader):
            await writing
    assert await other.latest_job("c", "7") == record
    assert await other.anomalies(attempt.id) == []
    assert await other.decision(attempt.id) == decision
    await other.claim(action, at(2), "7")
    await other.close()


async def test_a_claim_needs_a_lease_that_lasts(store: Store) -> None:
    record, attempt = await a_job(store)
    await store.acquire_lease("a", "h1", 1, OVER)
    decision = await store.write_decision(a_decision(attempt), record, attempt, STEPS[Verb.REQUEUE])
    assert decision is not None
    with pytest.raises(StoreUnavailable, match="the lease has run out"):
        await store.claim(decision.actions[0], at(1), "7")
    assert store.away_since is None
    await store.renew_lease(LONG)
    await store.claim(decision.actions[0], at(2), "7")
    await store.claim(decision.actions[0], at(9), "7")
    claimed = await store.decision(attempt.id)
    assert claimed is not None
    assert claimed.actions[0].claimed_at == at(9)


async def test_decisions_and_claims_name_their_epoch(store: Store) -> None:
    record, attempt = await a_job(store)
    await store.acquire_lease("a", "h1", 1, LONG)
    await store.acquire_lease("a", "h1", 1, LONG)
    decision = await store.write_decision(a_decision(attempt), record, attempt, STEPS[Verb.REQUEUE])
    assert decision is not None
    assert (decision.epoch, store.epoch) == (2, 2)
    await store.acquire_lease("a", "h1", 1, LONG)
    await store.claim(decision.actions[0], at(1), "7")
    claimed = await store.decision(attempt.id)
    assert claimed is not None
    assert [action.epoch for action in claimed.actions[:2]] == [3, 2]


async def test_readers_see_who_leads(store: Store, address: Address) -> None:
    reader = Reader(address)
    assert reader.lease() is None
    await store.acquire_lease("a", "head1", 42, LONG)
    found = reader.lease()
    assert found is not None
    assert (found.holder, found.host, found.pid, found.epoch) == ("a", "head1", 42, 1)
    assert (found.expires_at - found.renewed_at).total_seconds() == LONG
    reader.close()


async def test_of_many_racers_one_wins_each_round(mysql: Schema) -> None:
    async with AsyncExitStack() as stack:
        racers: list[Store] = []
        for _ in range(8):
            racers.append(await Store.open(mysql.address()))
            stack.push_async_callback(racers[-1].close)
        for round_ in range(1, 11):
            epochs = await asyncio.gather(
                *(
                    racer.acquire_lease(f"{round_}-{number}", "h", number, LONG)
                    for number, racer in enumerate(racers)
                )
            )
            assert [epoch for epoch in epochs if epoch is not None] == [round_]
            await racers[[epoch is not None for epoch in epochs].index(True)].release_lease()


async def test_a_leader_that_freezes_inside_a_transaction_is_waited_for_and_no_outage(
    mysql: Schema,
) -> None:
    """Its lock on the lease lasts until the server ends its session; the other one tries again."""
    leader, other = [await Store.open(mysql.address(timeout=2)) for _ in range(2)]
    await leader.acquire_lease("a", "h1", 1, OVER)
    async with leader._transaction("freezing"):
        with pytest.raises(StoreUnavailable, match="Lock wait timeout"):
            await other.acquire_lease("b", "h2", 2, LONG)
        assert other.away_since is None
    assert await other.acquire_lease("b", "h2", 2, LONG) == 2
    for each in (leader, other):
        await each.close()
