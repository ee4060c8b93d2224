"""Suspected nodes on their way out: what was done about each, and what came back.

A suspicion is a row of ``node_suspicions``; beside it stands at most one row of ``node_handoffs``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.store.queries import Query
from ajrd.store.rows import Row, column
from ajrd.store.schema import node_handoffs, node_suspicions

#: The columns of ``node_handoffs`` that a :class:`Suspect` carries.
_OWN = ("drain", "drain_note", "report", "report_note", "reference")


class DrainState(StrEnum):
    """CLAIMED: the command may have run. LEFT: it must not be. UNCLEAR: nobody can say."""

    OPEN = ""
    CLAIMED = "claimed"
    DRAINED = "drained"
    LEFT = "left"
    FAILED = "failed"
    UNCLEAR = "unclear"


class ReportState(StrEnum):
    """TOLD: the hardware service knows of it. ANSWERED: its verdict has come."""

    OPEN = ""
    TOLD = "told"
    ANSWERED = "answered"
    LEFT = "left"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One suspicion with its job, and where its hand-off stands; ``verdict`` is "" at first."""

    id: int
    node: str
    kind: str
    cause: str
    at: datetime
    verdict: str
    verdict_at: datetime | None
    job: int
    attempt_idx: int
    cluster: str
    job_id: str
    submitted_at: datetime
    user: str
    partition: str
    drain: DrainState = DrainState.OPEN
    drain_note: str = ""
    report: ReportState = ReportState.OPEN
    report_note: str = ""
    reference: str = ""
    updated_at: datetime | None = None

    @property
    def key(self) -> str:
        """Names the suspicion to others, the same after any crash: 32 hex digits."""
        parts = (
            self.cluster, self.job_id, self.submitted_at.isoformat(), str(self.attempt_idx),
            self.node,
        )  # fmt: skip
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """What the hardware service said of a node."""

    node: str
    verdict: str
    at: datetime


def unfinished(since: datetime, limit: int, *, drain: bool, report: bool) -> Query:
    """Suspicions since a moment about which something is to be done, oldest first."""
    return Query(
        "SELECT s.id AS id, s.node AS node, s.kind AS kind, s.cause AS cause, s.at AS at,"
        " s.verdict AS verdict, s.verdict_at AS verdict_at,"
        " attempts.job AS job, attempts.idx AS attempt_idx, jobs.cluster AS cluster,"
        " jobs.job_id AS job_id, jobs.first_submit_time AS submitted_at,"
        " jobs.user AS job_user, jobs.partition AS job_partition,"
        " h.drain AS drain, h.drain_note AS drain_note, h.report AS report,"
        " h.report_note AS report_note, h.reference AS reference, h.updated_at AS updated_at"
        " FROM node_suspicions s JOIN attempts ON attempts.id = s.attempt"
        " JOIN jobs ON jobs.id = attempts.job LEFT JOIN node_handoffs h ON h.suspicion = s.id"
        " WHERE s.at >= :since AND (h.id IS NULL"
        " OR (:drain = 1 AND h.drain IN ('', 'claimed'))"
        " OR (:report = 1 AND h.report IN ('', 'told')))"
        " ORDER BY s.at, s.id LIMIT :most",
        {"since": _bound(since), "drain": int(drain), "report": int(report), "most": limit},
    )


def unreported(since: datetime, most: int) -> Query:
    """Reports of suspicions since a moment that were given up, and why, the newest first."""
    return Query(
        "SELECT s.node AS node, h.report_note AS report_note FROM node_suspicions s"
        " JOIN node_handoffs h ON h.suspicion = s.id"
        " WHERE s.at >= :since AND h.report = 'failed' ORDER BY s.at DESC LIMIT :most",
        {"since": _bound(since), "most": most},
    )


def verdicts(since: datetime) -> Query:
    """What the hardware service has said since a moment, oldest first."""
    return Query(
        "SELECT s.node AS node, s.verdict AS verdict, s.verdict_at AS verdict_at"
        " FROM node_suspicions s WHERE s.verdict_at >= :since"
        " AND s.verdict IN ('faulty', 'healthy') ORDER BY s.verdict_at, s.id",
        {"since": _bound(since)},
    )


def last_drain(since: datetime) -> Query:
    """When a node was drained last, as far as its suspicion is not older than that."""
    return Query(
        "SELECT MAX(h.updated_at) AS updated_at FROM node_suspicions s"
        " JOIN node_handoffs h ON h.suspicion = s.id"
        " WHERE s.at >= :since AND h.drain = 'drained'",
        {"since": _bound(since)},
    )


def suspect(row: Row) -> Suspect:
    """A row of :func:`unfinished`."""
    return Suspect(
        id=row["id"],
        node=row["node"],
        kind=row["kind"],
        cause=row["cause"],
        at=column(row, "at"),
        verdict=row["verdict"],
        verdict_at=column(row, "verdict_at"),
        job=row["job"],
        attempt_idx=row["attempt_idx"],
        cluster=row["cluster"],
        job_id=row["job_id"],
        submitted_at=column(row, "submitted_at"),
        user=row["job_user"],
        partition=row["job_partition"],
        drain=DrainState(row["drain"] or ""),
        drain_note=row["drain_note"] or "",
        report=ReportState(row["report"] or ""),
        report_note=row["report_note"] or "",
        reference=row["reference"] or "",
        updated_at=column(row, "updated_at"),
    )


def given(rows: Iterable[Row]) -> Iterator[GivenVerdict]:
    """Rows of :func:`verdicts`."""
    for row in rows:
        yield GivenVerdict(row["node"], row["verdict"], column(row, "verdict_at"))


async def write(db: AsyncConnection, suspect: Suspect, now: datetime) -> None:
    """The hand-off as it now stands, and the verdict with it."""
    values = {name: str(getattr(suspect, name)) for name in _OWN} | {"updated_at": now}
    mine = node_handoffs.c.suspicion == suspect.id
    if (await db.execute(update(node_handoffs).where(mine).values(values))).rowcount == 0:
        await db.execute(insert(node_handoffs).values(values | {"suspicion": suspect.id}))
    said = {"verdict": suspect.verdict, "verdict_at": suspect.verdict_at}
    suspicion = node_suspicions.c.id == suspect.id
    await db.execute(update(node_suspicions).where(suspicion).values(said))


def _bound(when: datetime) -> str:
    """A time as both databases compare it."""
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")
