"""A request, written by a command that may write into the store."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime

from ajrd.model import RequestVerb
from ajrd.store import requests
from ajrd.store.address import Address
from ajrd.store.engine import Database


async def write_request(address: Address, job: int, verb: RequestVerb, by: str, why: str) -> int:
    """The number of the request; of one that is open already for the same thing, if there is."""
    database = Database(address)
    try:
        async with database.transaction(nullcontext(), "asking", writes=True) as db:
            known = await requests.open_equal(db, job, verb)
            if known is not None:
                return known
            return await requests.ask(db, job, verb, by, why, datetime.now(UTC))
    finally:
        await database.close()
