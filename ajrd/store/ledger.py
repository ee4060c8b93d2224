"""Writes what :mod:`ajrd.store.efficiency` describes: records of efficiency, corrected times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.store.efficiency import Accounted, EfficiencyRecord
from ajrd.store.schema import attempts, job_efficiency_records


async def write(db: AsyncConnection, records: Sequence[EfficiencyRecord], now: datetime) -> None:
    """The one record of each attempt. Those that are forgotten meanwhile get none."""
    numbers = [record.attempt for record in records]
    there = await _numbers(db, attempts.c.id, numbers)
    known = await _numbers(db, job_efficiency_records.c.attempt, numbers)
    new = []
    for record in records:
        values: dict[str, Any] = record.columns() | {"updated_at": now}
        if record.attempt in known:
            mine = job_efficiency_records.c.attempt == record.attempt
            await db.execute(update(job_efficiency_records).where(mine).values(values))
        elif record.attempt in there:
            new.append(values)
    if new:
        await db.execute(insert(job_efficiency_records), new)


async def _numbers(db: AsyncConnection, column: Column[int], wanted: Sequence[int]) -> set[int]:
    """Which of the numbers stand in a column."""
    return set((await db.execute(select(column).where(column.in_(wanted)))).scalars())


async def correct(db: AsyncConnection, found: Accounted) -> None:
    """An attempt with the times that accounting has."""
    values = {"started_at": found.started_at, "ended_at": found.ended_at}
    await db.execute(update(attempts).where(attempts.c.id == found.attempt).values(values))
