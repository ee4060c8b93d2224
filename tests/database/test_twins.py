"""The same line from a file and from Loki is one anomaly; equal lines are as many as they were."""

from __future__ import annotations

import asyncio
import random
import tempfile
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ajrd.model import Anomaly
from ajrd.recovery.watched import Chapter
from ajrd.store.records import AnomalyRecord, AttemptRecord, Cursor, News
from ajrd.store.store import Store
from tests.database.samples import POSITION, a_job
from tests.unit.samples import at, finding

#: A line: in which file, and what it says. Equal ones are different lines.
Line = tuple[str, str]


def from_file(line: Line, number: int) -> Anomaly:
    """As it was read from its file; ``number`` stands for its place."""
    return Anomaly(finding(offset=number * 100, text=line[1]), f"/lustre/{line[0]}", at(1))


def by_loki(line: Line, number: int, *, named: bool) -> Anomaly:
    """As Loki told it, from an agent that sees the file elsewhere, or does not name it."""
    source = f"loki:n1:/mnt/{line[0]}" if named else 'loki:{job="slurm"}'
    name = f"{number:064x}"
    return Anomaly(finding(offset=number + 10**18, text=line[1]), source, at(2), name)


async def record(store: Store, attempt: AttemptRecord, seen: Anomaly) -> list[AnomalyRecord]:
    """By the way that it takes in the service."""
    if seen.by_loki:
        news = News(attempt=attempt, seen=(seen,), positions=())
        return await store.record_sweep(Cursor("t", seen.finding.offset), [news], at(3))
    return await store.record_evidence(attempt, [seen], POSITION, None, at(3))


lines = st.lists(
    st.tuples(st.sampled_from(["a.log", "b.log"]), st.sampled_from(["x", "y"])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(lines, st.booleans(), st.integers(0, 2), st.randoms(use_true_random=False))
def test_in_whatever_order_and_however_often_they_come(
    written: list[Line], named: bool, again: int, order: random.Random
) -> None:
    comes = [from_file(line, number) for number, line in enumerate(written)]
    comes += [by_loki(line, number, named=named) for number, line in enumerate(written)]
    comes *= again + 1
    order.shuffle(comes)

    async def keep() -> list[AnomalyRecord]:
        with tempfile.TemporaryDirectory() as folder:
            store = await Store.open(f"sqlite:///{folder}/ajrd.sqlite")
            _, attempt = await a_job(store)
            for seen in comes:
                await record(store, attempt, seen)
            found = await store.anomalies(attempt.id)
            await store.close()
            return found

    found = [kept.anomaly for kept in asyncio.run(keep())]
    assert sorted(each.finding.text for each in found) == sorted(text for _, text in written)
    assert {each.source for each in found} == {f"/lustre/{name}" for name, _ in written}
    assert len({each.twin for each in found} - {""}) == len(written)


async def test_a_file_takes_over_what_loki_told_before(store: Store) -> None:
    _, attempt = await a_job(store)
    line = ("a.log", "x")
    told = await record(store, attempt, by_loki(line, 1, named=True))
    taken = await record(store, attempt, from_file(line, 1))
    kept = await store.anomalies(attempt.id)
    assert [each.id for each in (*told, *taken)] == [kept[0].id] * 2
    assert (kept[0].anomaly.source, kept[0].anomaly.twin) == ("/lustre/a.log", f"{1:064x}")
    assert kept[0].anomaly.detected_at == at(2)


async def test_a_line_of_another_file_is_another_line(store: Store) -> None:
    _, attempt = await a_job(store)
    await record(store, attempt, from_file(("a.log", "x"), 1))
    await record(store, attempt, by_loki(("b.log", "x"), 1, named=True))
    assert len(await store.anomalies(attempt.id)) == 2


async def test_the_cursor_is_kept_with_the_evidence(store: Store) -> None:
    _, attempt = await a_job(store)
    assert await store.loki_cursor("t") is None
    await record(store, attempt, by_loki(("a.log", "x"), 5, named=True))
    assert await store.loki_cursor("t") == 10**18 + 5
    await store.record_sweep(Cursor("t", 7), [], at(4))
    assert await store.loki_cursor("t") == 7


async def test_the_loop_s_memory_has_such_a_line_once(store: Store) -> None:
    _, attempt = await a_job(store)
    chapter = Chapter(attempt)
    line = ("a.log", "x")
    comes = [by_loki(line, 1, named=True), from_file(line, 1)]
    for seen in comes:
        chapter.add([AnomalyRecord(id=0, attempt=attempt.id, anomaly=seen)])
    assert len(chapter.evidence) == 2
    for seen in comes:
        chapter.add(await record(store, attempt, seen))
    assert [each.anomaly.source for each in chapter.anomalies] == ["/lustre/a.log"]
    assert chapter.stored


async def test_a_known_twin_is_told_with_its_row(store: Store) -> None:
    _, attempt = await a_job(store)
    seen = by_loki(("a.log", "x"), 1, named=True)
    first = await record(store, attempt, seen)
    again = await record(store, attempt, replace(seen, detected_at=at(9)))
    assert [each.id for each in first] == [each.id for each in again]
