"""Decisions that were carried out while the database was away, written into it afterwards."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.model import DecisionState
from ajrd.store.records import ActionRecord, DecisionRecord, JobRecord
from ajrd.store.schema import actions, decisions
from ajrd.store.statements import add


async def write(db: AsyncConnection, note: DecisionRecord, job: JobRecord, attempt: int) -> bool:
    """Adds the decision, or ends the open one that it went on with.

    False if the store has another decision on the attempt, which stays as it is.
    """
    known = (
        await db.execute(
            select(decisions.c.id, decisions.c.state).where(decisions.c.attempt == attempt)
        )
    ).one_or_none()
    if known is not None and known.state != DecisionState.OPEN.value:
        return False
    values = asdict(note) | {"attempt": attempt}
    del values["id"], values["actions"]
    if known is None:
        number = await add(db, decisions, values)
    else:
        number = int(known.id)
        del values["anomaly"]
        await db.execute(update(decisions).where(decisions.c.id == number).values(values))
    for action in note.actions:
        await _write_action(db, action, number, f"{job.id}/{attempt}/{action.step}")
    return True


async def _write_action(db: AsyncConnection, action: ActionRecord, decision: int, key: str) -> None:
    values: dict[str, Any] = asdict(action) | {"decision": decision, "key": key}
    del values["id"]
    changed = await db.execute(update(actions).where(actions.c.key == key).values(values))
    if changed.rowcount == 0:
        await db.execute(insert(actions).values(values))
