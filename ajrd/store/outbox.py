"""The audit trail as webhooks read it: each event with its job, decision and suspected nodes.

``cursors`` keeps how far each endpoint has come. It is a table of its own: the cursors of Loki are
moments in nanoseconds and move together with evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.store.queries import Query
from ajrd.store.schema import cursors


def cursor(name: str) -> Query:
    """How far a reader has come."""
    return Query("SELECT cursors.number FROM cursors WHERE cursors.name = :name", {"name": name})


def behind(number: int, most: int) -> Query:
    """The events with higher numbers, oldest first."""
    return Query(
        "SELECT events.id AS id, events.at AS at, events.event AS event,"
        " events.attempt_idx AS attempt_idx, jobs.cluster AS cluster, jobs.job_id AS job_id,"
        " jobs.first_submit_time AS submitted_at, jobs.name AS job_name, jobs.user AS job_user,"
        " jobs.partition AS job_partition, attempts.id AS attempt, decisions.verb AS verb,"
        " decisions.state AS state, decisions.outcome AS outcome, decisions.reason AS reason,"
        " decisions.cause AS cause, decisions.used AS used, decisions.degraded AS degraded,"
        " anomalies.kind AS kind"
        " FROM events LEFT JOIN jobs ON jobs.id = events.job"
        " LEFT JOIN attempts ON attempts.job = events.job AND attempts.idx = events.attempt_idx"
        " LEFT JOIN decisions ON decisions.attempt = attempts.id"
        " LEFT JOIN anomalies ON anomalies.id = decisions.anomaly"
        " WHERE events.id > :number ORDER BY events.id LIMIT :most",
        {"number": number, "most": most},
    )


def suspicions_of(attempts: Iterable[int]) -> Query:
    """The nodes that these attempts point at."""
    wanted = ", ".join(str(int(number)) for number in attempts)
    return Query(
        "SELECT s.attempt AS attempt, s.node AS node, s.kind AS kind, s.cause AS cause,"  # noqa: S608
        f" s.excluded AS excluded FROM node_suspicions s WHERE s.attempt IN ({wanted})"
        " ORDER BY s.id"
    )


def given_up(since: datetime, most: int) -> Query:
    """What webhooks were not told of since a moment, the newest first."""
    return Query(
        "SELECT events.message AS message FROM events"
        " WHERE events.at >= :since AND events.event = 'webhook_dead'"
        " ORDER BY events.at DESC LIMIT :most",
        {"since": since.strftime("%Y-%m-%d %H:%M:%S.%f"), "most": most},
    )


async def move(db: AsyncConnection, name: str, number: int, now: datetime) -> None:
    """Puts a cursor where it is told."""
    values = {"number": number, "updated_at": now}
    mine = cursors.c.name == name
    if (await db.execute(update(cursors).where(mine).values(values))).rowcount == 0:
        await db.execute(insert(cursors).values(values | {"name": name}))
