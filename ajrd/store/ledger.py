"""Writes what :mod:`ajrd.store.efficiency` describes: records of efficiency, corrected times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.store.efficiency import Accounted, EfficiencyRecord
from ajrd.store.schema import attempts, job_efficiency_records


async def write(db: AsyncConnection, record: EfficiencyRecord, now: datetime) -> None:
    """The one record of an attempt. An attempt that is forgotten meanwhile gets none."""
    values: dict[str, Any] = record.columns() | {"updated_at": now}
    mine = job_efficiency_records.c.attempt == record.attempt
    changed = await db.execute(update(job_efficiency_records).where(mine).values(values))
    if changed.rowcount:
        return
    there = select(attempts.c.id).where(attempts.c.id == record.attempt)
    if (await db.execute(there)).scalar() is not None:
        await db.execute(insert(job_efficiency_records).values(values))


async def correct(db: AsyncConnection, found: Accounted) -> None:
    """An attempt with the times that accounting has."""
    values = {"started_at": found.started_at, "ended_at": found.ended_at}
    await db.execute(update(attempts).where(attempts.c.id == found.attempt).values(values))
