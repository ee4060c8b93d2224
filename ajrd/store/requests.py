"""What people ask for, from the question to its answer.

Whoever serves people writes a request; the leader reads the open ones, does what is asked or
refuses it, and says so in the same row. Two requests for the same thing on one job are not open at
once: the row of the job is locked while that is looked at.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.model import RequestState
from ajrd.store.queries import Query
from ajrd.store.schema import events, jobs, requests
from ajrd.store.statements import add, number_of

#: The event of the audit trail that tells of a new request.
ASKED = "request"
#: Requests of a job that are told: people may ask as often as they like.
TOLD = 100


def open_requests() -> Query:
    """Those that nobody has answered yet, oldest first."""
    return Query("SELECT * FROM requests WHERE requests.state = 'open' ORDER BY id")


def requests_of(job: int) -> Query:
    """What was asked of a job (its row) last, newest first."""
    return Query(
        "SELECT * FROM requests WHERE requests.job = :job ORDER BY id DESC LIMIT :most",
        {"job": job, "most": TOLD},
    )


def request_by_id(number: int) -> Query:
    """One of them, with its job's id and user."""
    return Query(
        "SELECT requests.*, jobs.job_id, jobs.user FROM requests"
        " JOIN jobs ON jobs.id = requests.job WHERE requests.id = :number",
        {"number": number},
    )


async def open_equal(db: AsyncConnection, job: int, verb: str) -> int | None:
    """The open request for the same thing; None: until this transaction ends there is none."""
    await db.execute(select(jobs.c.id).where(jobs.c.id == job).with_for_update())
    mine, asked = requests.c.job == job, requests.c.verb == verb
    return await number_of(db, requests, mine & asked & (requests.c.state == RequestState.OPEN))


async def ask(db: AsyncConnection, job: int, verb: str, by: str, reason: str, now: datetime) -> int:
    """Writes a request and its line in the audit trail; the number of the request."""
    number = await add(
        db,
        requests,
        {
            "job": job,
            "verb": verb,
            "by": by,
            "reason": reason,
            "state": RequestState.OPEN.value,
            "asked_at": now,
        },
    )
    message = f"{by} asks to {verb} it: {reason}"[:4000]
    await add(db, events, {"at": now, "job": job, "event": ASKED, "message": message})
    return number


async def finish(db: AsyncConnection, number: int, state: str, result: str, now: datetime) -> None:
    """Answers an open request: ``state`` is done or refused. One that is answered stays as is."""
    mine = (requests.c.id == number) & (requests.c.state == RequestState.OPEN)
    values = {"state": state, "result": result, "done_at": now}
    await db.execute(update(requests).where(mine).values(values))
