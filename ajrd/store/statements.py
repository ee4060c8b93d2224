"""The few statements that several parts of the store need."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def add(db: AsyncConnection, table: Table, values: dict[str, Any]) -> int:
    """Inserts a row; its number."""
    key = (await db.execute(insert(table).values(values))).inserted_primary_key
    assert key is not None
    return int(key[0])


async def number_of(db: AsyncConnection, table: Table, which: ColumnElement[bool]) -> int | None:
    """The number of a row that is there already."""
    found = (await db.execute(select(table.c.id).where(which))).scalar()
    return None if found is None else int(found)
