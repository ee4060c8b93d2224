"""Values that no column was made for: each is kept, none makes its transaction fail."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.model import Progress, ReadPosition
from ajrd.store.store import Store
from ajrd.store.values import path_again, signed, storable, storable_path, unsigned
from tests.database.samples import POSITION, a_decision, a_job
from tests.unit.samples import anomaly, at

EMOJI, NUL = "\U0001f680 läuft", "a\0b"
LONG = "x" * 65536
LOST = "\udc80\ud800"
PATHS = ["/w/\udcff\udcfe.log", "/w/\uef80.log", f"/w/{EMOJI}", "/w/" + "d" * 4000]


@given(st.binary(max_size=40))
def test_every_path_comes_back(raw: bytes) -> None:
    path = os.fsdecode(raw)
    kept = storable_path(path)
    kept.encode("utf-8")
    assert path_again(kept) == path


@given(st.text(st.characters()), st.integers(0, 30))
def test_every_text_gets_an_encoding_and_the_length_asked_for(text: str, limit: int) -> None:
    kept = storable(text, limit)
    kept.encode("utf-8")
    assert len(kept) <= limit


@given(st.integers(0, 2**64 - 1))
def test_every_inode_comes_back(number: int) -> None:
    assert -(2**63) <= signed(number) < 2**63
    assert unsigned(signed(number)) == number


@pytest.mark.parametrize("text", [EMOJI, NUL, LONG, LONG.replace("x", "\U0001f680")])
async def test_a_line_is_kept_as_it_was(store: Store, text: str) -> None:
    _, attempt = await a_job(store)
    seen = anomaly(text=text, before=(text, text), after=(text,), facts={"rank": text})
    await store.record_evidence(attempt, [seen], None, None, at(1))
    assert [record.anomaly for record in await store.anomalies(attempt.id)] == [seen]


async def test_text_without_an_encoding_is_kept_readable_and_once(store: Store) -> None:
    _, attempt = await a_job(store)
    seen = anomaly(text=LOST, before=(LOST,), facts={LOST: LOST})
    assert len(await store.record_evidence(attempt, [seen], None, None, at(1))) == 1
    assert await store.record_evidence(attempt, [seen], None, None, at(1)) == []
    kept = (await store.anomalies(attempt.id))[0].anomaly.finding
    assert kept.text == "\\udc80\\ud800"


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_comes_back_and_is_found(store: Store, path: str) -> None:
    _, attempt = await a_job(store)
    position = ReadPosition(path, 2**64 - 1, 2**63, 400, 10, "ab")
    await store.record_evidence(attempt, [anomaly(source=path)], position, None, at(1))
    assert await store.positions_at(path) == [(attempt.id, position)]
    assert (await store.sources(attempt.id))[0].path == path
    assert (await store.anomalies(attempt.id))[0].anomaly.source == path


async def test_a_step_that_no_column_holds_is_cut(store: Store) -> None:
    record, attempt = await a_job(store)
    await store.record_evidence(attempt, [], POSITION, Progress(1, 1, "step", 10**30), at(1))
    assert (await store.failures(record.id))[0].progress_step == 2**63 - 1


@pytest.mark.parametrize("text", [LONG * 5, LOST, NUL, EMOJI])
async def test_no_text_stops_the_records_of_a_job(store: Store, text: str) -> None:
    record, attempt = await a_job(store)
    await store.save_job(
        replace(record, name=text, user=text, comment=text, note=text, reason=text),
        [(text, text)],
    )
    await store.save_attempt(replace(attempt, nodes=text), at(1), "changed")
    await store.note_logs(attempt.id, text)
    decision = replace(a_decision(attempt), reason=text, exclude_nodes=text, cause=text)
    assert await store.write_decision(decision, record, attempt, ()) is not None
