"""Who leads: one row that says which process may act, and until when.

Theory of operation. A process that wants to lead writes its random id into the row, if nobody's is
there or the one there has run out, and counts the *epoch* up. Only the database's clock is asked:
hosts may disagree. Every later write of the leader begins by reading the row in the same
transaction, under a lock that keeps it from changing until the commit (a fence): a process that was
frozen while another one took over finds a foreign epoch there and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, insert, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.store.schema import leases

#: The row; there is one lease.
NAME = "leader"
_SQLITE_FORM = "%Y-%m-%d %H:%M:%f"


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as its holder knows it: ``holder`` names the process, ``epoch`` its term."""

    holder: str
    epoch: int


async def make_row(db: AsyncConnection) -> None:
    """Sees to it that there is a row, held by nobody."""
    known = select(leases.c.epoch).where(leases.c.name == NAME)
    if (await db.execute(known)).scalar() is not None:
        return
    now = _now(db)
    new = insert(leases).prefix_with("IGNORE", dialect="mysql")
    new = new.prefix_with("OR IGNORE", dialect="sqlite")
    await db.execute(
        new.values(
            name=NAME, holder="", host="", pid=0, epoch=0,
            acquired_at=now, renewed_at=now, expires_at=now,
        )
    )  # fmt: skip


async def take(
    db: AsyncConnection, holder: str, host: str, pid: int, ttl: float, dead: str | None = None
) -> int | None:
    """The new epoch; None if somebody else than ``dead`` holds the lease."""
    now = _now(db)
    free = or_(leases.c.holder.in_(["", holder, dead or ""]), leases.c.expires_at <= now)
    values: dict[str, Any] = {
        "holder": holder,
        "host": host,
        "pid": pid,
        "epoch": leases.c.epoch + 1,
        "acquired_at": now,
        "renewed_at": now,
        "expires_at": _now(db, ttl),
    }
    changed = await db.execute(update(leases).where(leases.c.name == NAME, free).values(values))
    if changed.rowcount != 1:
        return None
    epoch = await db.execute(select(leases.c.epoch).where(leases.c.name == NAME))
    return int(epoch.scalar_one())


async def renew(db: AsyncConnection, held: Held, ttl: float) -> bool:
    """Moves the end of the lease, also of one that has run out; False if it is another's."""
    values = {"renewed_at": _now(db), "expires_at": _now(db, ttl)}
    changed = await db.execute(update(leases).where(*_mine(held)).values(values))
    return changed.rowcount == 1


async def release(db: AsyncConnection, held: Held) -> None:
    """Lets others take it at once; the epoch stays, so that it is never given twice."""
    values = {"holder": "", "expires_at": _now(db)}
    await db.execute(update(leases).where(*_mine(held)).values(values))


async def fence(db: AsyncConnection, held: Held, *, lasting: bool) -> None:
    """Raises NotLeader if the lease is another's by now.

    With ``lasting`` also StoreUnavailable if it has run out: somebody may take it at any moment.
    """
    lasts = (leases.c.expires_at > _now(db)).label("lasts")
    row = (
        await db.execute(select(lasts).where(*_mine(held)).with_for_update(read=True))
    ).one_or_none()
    if row is None:
        raise NotLeader(f"this ajrd leads no more: its lease of epoch {held.epoch} is gone")
    if lasting and not row.lasts:
        raise StoreUnavailable("the lease has run out and could not be renewed")


def _mine(held: Held) -> tuple[ColumnElement[bool], ...]:
    return leases.c.name == NAME, leases.c.holder == held.holder, leases.c.epoch == held.epoch


def _now(db: AsyncConnection, ahead: float = 0.0) -> ColumnElement[Any]:
    """The database's time, ``ahead`` seconds from now, in the form that times are kept in."""
    if db.dialect.name == "sqlite":
        moment = func.strftime(_SQLITE_FORM, "now", f"{ahead:+.3f} seconds")
        return moment.concat("000")
    micros = int(ahead * 1_000_000)
    return literal_column(f"UTC_TIMESTAMP(6) + INTERVAL {micros} MICROSECOND")
