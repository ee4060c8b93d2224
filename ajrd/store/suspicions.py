"""Nodes that a decision implicates: one row for a node and attempt, however often it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.store.records import Suspicion
from ajrd.store.schema import node_suspicions
from ajrd.store.statements import add, number_of


async def keep(
    db: AsyncConnection, attempt: int, suspects: Iterable[Suspicion], at: datetime
) -> list[Suspicion]:
    """Writes those that are not known of this attempt yet, and returns them."""
    new = []
    for suspect in suspects:
        c = node_suspicions.c
        same = (c.attempt == attempt) & (c.node == suspect.node)
        if await number_of(db, node_suspicions, same) is None:
            await add(db, node_suspicions, asdict(suspect) | {"attempt": attempt, "at": at})
            new.append(suspect)
    return new
