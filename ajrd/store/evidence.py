"""Anomalies in the store: each line once, whether it came from a file, by Loki, or by both.

A line of a file is named by its place, an entry of Loki by its *twin* name. Neither names the
other, so the same line is recognised by what it says: a finding that came by Loki takes the first
row of the attempt with its rule, its text and its file that has no twin yet, and becomes that row's
twin; a finding of a file takes over the first such row that has no file yet. This counts: eight
equal lines stay eight, in whichever order the sixteen findings come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.model import Anomaly
from ajrd.store import rows
from ajrd.store.records import Cursor
from ajrd.store.schema import anomalies, loki_cursors
from ajrd.store.statements import add, number_of

#: How the source of what came by Loki begins, and that of an entry which names no file.
BY_LOKI, UNNAMED = "loki:", "loki:{"


async def keep(db: AsyncConnection, attempt: int, anomaly: Anomaly) -> tuple[int, bool] | None:
    """The row of an anomaly, and whether it is new; None if just this one is kept already."""
    if anomaly.by_loki:
        return await _keep_entry(db, attempt, anomaly)
    values = rows.anomaly_values(attempt, anomaly)
    if (
        await number_of(db, anomalies, _in(attempt, anomalies.c.digest, values["digest"]))
        is not None
    ):
        return None
    for row in await _alike(db, attempt, anomaly) if _is_path(anomaly.source) else ():
        if row.source.startswith(BY_LOKI) and _same_file(row.source, anomaly.source):
            place = ("source", "offset", "line_no", "before", "after", "digest")
            await _change(db, row.id, {name: values[name] for name in place})
            return row.id, False
    return await add(db, anomalies, values), True


async def _keep_entry(db: AsyncConnection, attempt: int, anomaly: Anomaly) -> tuple[int, bool]:
    known = await number_of(db, anomalies, _in(attempt, anomalies.c.twin, anomaly.twin))
    if known is not None:
        return known, False
    for row in await _alike(db, attempt, anomaly):
        if row.twin is None and _is_path(row.source) and _same_file(anomaly.source, row.source):
            await _change(db, row.id, {"twin": anomaly.twin})
            return row.id, False
    return await add(db, anomalies, rows.anomaly_values(attempt, anomaly)), True


async def read_to(db: AsyncConnection, cursor: Cursor, now: Any) -> None:
    """Keeps how far Loki was read."""
    values = {"ns": cursor.ns, "updated_at": now}
    mine = loki_cursors.c.name == cursor.name
    if (await db.execute(update(loki_cursors).where(mine).values(values))).rowcount == 0:
        await db.execute(insert(loki_cursors).values(name=cursor.name, **values))


def _is_path(source: str) -> bool:
    return "/" in source and not source.startswith(BY_LOKI)


def _same_file(by_loki: str, path: str) -> bool:
    """By the name alone: a shipper may see the file below another mount point."""
    return by_loki.startswith(UNNAMED) or _name(by_loki) == _name(path)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


async def _alike(db: AsyncConnection, attempt: int, anomaly: Anomaly) -> Sequence[Any]:
    """What the attempt has by the same rule with the same text, the first first."""
    finding, c = anomaly.finding, anomalies.c
    same = (c.attempt == attempt) & (c.rule == finding.rule) & (c.text == finding.text)
    found = await db.execute(select(c.id, c.source, c.twin).where(same).order_by(c.id))
    return found.all()


def _in(attempt: int, column: Column[str], name: str) -> ColumnElement[bool]:
    return and_(anomalies.c.attempt == attempt, column == name)


async def _change(db: AsyncConnection, number: int, values: dict[str, Any]) -> None:
    await db.execute(update(anomalies).where(anomalies.c.id == number).values(values))
