"""Delivers to one endpoint, in order, at least once, by whoever leads.

The audit trail is read behind a cursor that the store keeps; it moves when the endpoint has
answered well, so a crash repeats one delivery and loses none. One message is in memory at a time,
besides a page of rows. What an endpoint refuses waits, and everything behind it; what it has not
taken :attr:`Endpoint.give_up_after` seconds after its event is written into the trail as dead.

Numbers of events are given when they are written and become visible when they are kept, so a gap
may still fill: it is waited for during :data:`FILLS`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from ajrd.errors import ConfigError, RemoteUnavailable, StoreUnavailable
from ajrd.model import Occasion
from ajrd.notify.health import EndpointHealth, Outcome
from ajrd.notify.message import Message, message
from ajrd.notify.signature import HEADER, signature
from ajrd.outbound import Outbound, Place, pause
from ajrd.recovery.settings import Clock, no_checkpoint
from ajrd.secret import read_secret
from ajrd.store.listing import newest_event
from ajrd.store.outbox import behind, suspicions_of
from ajrd.store.rows import Row
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.notify")

#: Seconds between two looks at the trail, and how long a gap in its numbers may fill.
EVERY, FILLS = 2.0, 20.0
#: Events of one page.
PAGE = 200
#: A message is dead only after so many tries of this process.
LEAST_TRIES = 3
#: Answers that mean: not this body, ever.
_NEVER = frozenset({400, 410, 413, 415, 422})


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Who is told what; empty ``partitions`` and ``users`` mean all. Times in seconds."""

    name: str
    url: str
    occasions: frozenset[Occasion] = frozenset(Occasion)
    partitions: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    secret_file: str | None = None
    give_up_after: float = 86400.0

    @property
    def credential(self) -> str:
        """The secret's name among the credentials that systemd hands to the service."""
        return f"ajrd-webhook-{self.name}"

    @property
    def cursor(self) -> str:
        """The name under which the store keeps how far it has come."""
        return f"webhook@{self.name}"

    def wants(self, one: Message) -> bool:
        """Is the endpoint to be told of it?"""
        return (
            one.occasion in self.occasions
            and (not self.partitions or one.partition in self.partitions)
            and (not self.users or one.user in self.users)
        )


@dataclass(slots=True)
class Sender:
    """The way to one endpoint. ``place`` says how it is reached."""

    endpoint: Endpoint
    place: Place
    store: Store
    may_act: Callable[[], bool]
    clock: Clock
    checkpoint: Callable[[str], None] = no_checkpoint
    luck: Callable[[], float] = random.random
    health: EndpointHealth = field(init=False)
    _outbound: Outbound = field(init=False)
    _cursor: int | None = None
    _kept: int | None = None
    _tries: int = 0
    _gaps: dict[int, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.health = EndpointHealth(self.endpoint.name)
        self._outbound = Outbound(self.place)

    async def run(self) -> None:
        """Delivers until cancelled, or until another ajrd leads."""
        try:
            while True:
                try:
                    seconds = await self.turn()
                except StoreUnavailable as error:
                    log.warning("unknown", doing="webhooks", why=str(error))
                    seconds = EVERY
                await asyncio.sleep(seconds)
        finally:
            await self._outbound.close()

    async def turn(self) -> float:
        """Delivers what there is; the seconds until the next turn."""
        cursor = self._cursor if self._cursor is not None else await self._begin()
        rows = await self.store.look_up(behind(cursor, PAGE))
        rows = self._settled(cursor, rows)
        nodes = await self._nodes(rows)
        for row in rows:
            one = message(row, nodes.get(row["attempt"], ()))
            if one is not None and self.endpoint.wants(one):
                self.health.waits_since = one.at
                if not self.may_act():
                    return EVERY
                if (seconds := await self._deliver(one)) is not None:
                    return seconds
            self._cursor = row["id"]
        if self._cursor != self._kept:
            await self._keep()
        if len(rows) == PAGE:
            return 0.0
        self.health.waits_since = None
        return EVERY

    async def _begin(self) -> int:
        """Where the cursor stands; a new endpoint is told nothing of what was before it."""
        self._cursor = self._kept = await self.store.cursor(self.endpoint.cursor)
        if self._cursor is None:
            self._cursor = int((await self.store.look_up(newest_event()))[0]["most"] or 0)
            await self._keep()
        return self._cursor

    async def _keep(self, lost: str = "") -> None:
        assert self._cursor is not None
        await self.store.move_cursor(self.endpoint.cursor, self._cursor, self.clock(), lost)
        self._kept = self._cursor

    def _settled(self, cursor: int, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows up to the first gap that may still fill."""
        now, before = self.clock(), cursor
        gaps: dict[int, datetime] = {}
        upto = len(rows)
        for place, row in enumerate(rows):
            if row["id"] != before + 1:
                since = gaps[row["id"]] = self._gaps.get(row["id"], now)
                if (now - since).total_seconds() < FILLS:
                    upto = min(upto, place)
            before = row["id"]
        self._gaps = gaps
        return rows[:upto]

    async def _nodes(self, rows: Sequence[Row]) -> Mapping[int, list[Row]]:
        attempts = {row["attempt"] for row in rows if row["attempt"] is not None}
        found: dict[int, list[Row]] = {}
        if attempts:
            for row in await self.store.look_up(suspicions_of(sorted(attempts))):
                found.setdefault(row["attempt"], []).append(row)
        return found

    async def _deliver(self, one: Message) -> float | None:
        """None when the endpoint has taken it, or never will; else the seconds to wait."""
        try:
            await self._outbound.ask("POST", self.endpoint.url, self._headers(one), one.body)
        except RemoteUnavailable as error:
            return await self._failed(one, error)
        self.checkpoint("webhook_delivered")
        self._tries = 0
        self._cursor = one.number
        await self._keep()
        self.health.tries[Outcome.DELIVERED] += 1
        log.info("webhook_delivered", endpoint=self.endpoint.name, occasion=one.occasion.value)
        return None

    def _headers(self, one: Message) -> dict[str, str]:
        name = self.endpoint.name
        try:
            secret = read_secret(
                self.endpoint.secret_file, self.endpoint.credential, f"webhook {name}"
            )
        except ConfigError as error:
            raise RemoteUnavailable(str(error)) from None
        if not secret:
            raise RemoteUnavailable(
                f"webhook {name} has no secret: name a file in secret_file, or give the service"
                f" the credential {self.endpoint.credential}"
            )
        return {
            "Content-Type": "application/json",
            "User-Agent": "ajrd",
            "X-Ajrd-Event": one.occasion.value,
            "X-Ajrd-Delivery": one.id,
            HEADER: signature(secret, int(self.clock().timestamp()), one.body),
        }

    async def _failed(self, one: Message, error: RemoteUnavailable) -> float | None:
        self._tries += 1
        age = (self.clock() - one.at).total_seconds()
        over = age > self.endpoint.give_up_after or error.status in _NEVER
        if not (over and self._tries >= LEAST_TRIES):
            seconds = pause(self._tries, self.luck(), error.pause)
            self.health.failed(error)
            log.warning("webhook_failed", endpoint=self.endpoint.name, why=str(error))
            return seconds
        self._tries = 0
        self._cursor = one.number
        lost = f"webhook {self.endpoint.name} was not told of {one.occasion}, id {one.id}: {error}"
        await self._keep(lost)
        self.health.tries[Outcome.GIVEN_UP] += 1
        log.error("webhook_dead", endpoint=self.endpoint.name, why=str(error))
        return None
