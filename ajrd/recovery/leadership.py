"""The lease: of any number of ajrd processes on one database, one acts.

Theory of operation. The lease is one row with a holder, an epoch that grows with every change of
holder, and an end in the database's own time. The holder renews it often; somebody else can take it
only after its end. Two things keep a holder from acting beyond that, whatever happens to it:

- *It stops by itself.* It may begin a Slurm command only while, by the host's own ticks, so much of
  the lease is left that the command is over before its end (``margin``: the time limit of a command
  and a second). The ticks count from before the renewal was asked for, so network delay makes the
  time shorter, never longer; they go on while the process is frozen or the host asleep.
- *It is fenced.* Each transaction of the store first checks that the row still has this holder and
  epoch. One who was frozen, was replaced and wakes up can write and claim nothing.

A holder that has died on this very host need not be waited for: its name holds the boot id of the
host, the process namespace, the process number and its start time, and so can be proved dead.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from ajrd.clock import ticks
from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.lease")

#: A lease is renewed so many times within its length.
RENEWALS = 6
#: Who waits for the lease asks for it at least as often, seconds: its holder may have died.
LOOK = 1.0
#: Seconds between tries while the database does not answer.
RETRY = 0.5
#: Seconds beyond a command's time limit that are kept free at the end of a lease.
SLACK = 1.0


class Leads(Protocol):
    """Who acts: a short name of this process, and whether it may act now."""

    @property
    def name(self) -> str:
        """A few characters, as they stand in AdminComment."""

    def may_act(self) -> bool:
        """May a Slurm command begin at this moment?"""


class Alone:
    """Nobody else can act: tests, tools."""

    name = "alone"

    def may_act(self) -> bool:
        """Always."""
        return True


class Leadership:
    """The lease of this process on one store. Times are in seconds."""

    def __init__(
        self,
        store: Store,
        holder: str,
        host: str,
        ttl: float,
        command_limit: float,
        tick: Callable[[], float] = ticks,
    ) -> None:
        self._store = store
        self._holder = holder
        self._host = host
        self._ttl = ttl
        self._usable = ttl - command_limit - SLACK
        self._tick = tick
        self._good_until = float("-inf")

    @property
    def name(self) -> str:
        """The end of the holder's name is the process: unique on a host while it is up."""
        return short_name(self._holder)

    def may_act(self) -> bool:
        """Is so much of the lease left that a command begun now ends before it?"""
        return self._tick() < self._good_until

    @property
    def renewal_age(self) -> float:
        """Seconds since the last renewal that was answered was asked for; inf: there is none."""
        return self._tick() - (self._good_until - self._usable)

    async def wait(self) -> None:
        """Returns when the lease was taken, however long another one holds it."""
        log.info("standby")
        while True:
            await asyncio.sleep(min(self._ttl / RENEWALS, LOOK))
            if await self.attempt():
                return

    async def attempt(self, steal: bool = False) -> bool:
        """As :meth:`acquire`; while the database does not answer there is no lease to be had."""
        try:
            return await self.acquire(steal)
        except StoreUnavailable as error:
            log.warning("standby_waits", why=str(error))
            return False

    async def acquire(self, steal: bool = False) -> bool:
        """Takes the lease if it is free, or if its holder is dead or ``steal`` is set."""
        asked = self._tick()
        dead = await self._dead_holder(steal)
        epoch = await self._store.acquire_lease(
            self._holder, self._host, os.getpid(), self._ttl, dead=dead
        )
        if epoch is None:
            return False
        self._good_until = asked + self._usable
        log.info("leading", epoch=epoch, host=self._host, pid=os.getpid())
        return True

    async def _dead_holder(self, steal: bool) -> str | None:
        holder = await self._store.lease_holder()
        return holder if holder and (steal or is_dead(holder)) else None

    async def keep(self) -> None:
        """Renews until cancelled; raises NotLeader when another process has the lease."""
        pause = self._ttl / RENEWALS
        while True:
            await asyncio.sleep(pause)
            asked = self._tick()
            pause = RETRY
            try:
                if not await self._store.renew_lease(self._ttl):
                    raise NotLeader("another ajrd has taken the lease")
            except StoreUnavailable as error:
                log.warning("lease_not_renewed", why=str(error), may_act=self.may_act())
            else:
                self._good_until = asked + self._usable
                pause = self._ttl / RENEWALS

    async def release(self) -> None:
        """Gives the lease back, so that nobody has to wait for its end."""
        self._good_until = float("-inf")
        try:
            await self._store.release_lease()
        except (StoreUnavailable, NotLeader) as error:
            log.warning("lease_not_released", why=str(error))


def this_process() -> str:
    """A name that no other process has, on any host, ever: boot, process namespace, pid, start."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
    space = os.stat("/proc/self/ns/pid").st_ino
    return f"{boot[:16]}.{space}.{os.getpid()}.{_start_time(os.getpid())}"


def short_name(holder: str) -> str:
    """What stands in AdminComment: enough to tell the processes of one site apart."""
    boot, _space, pid, *_rest = [*holder.split("."), "", ""]
    return f"{boot[:4]}-{pid}"


def is_dead(holder: str) -> bool:
    """Can this process prove that the holder is gone? Only for one of this boot and namespace."""
    mine = this_process().split(".")
    theirs = holder.split(".")
    if len(theirs) != len(mine) or theirs[:2] != mine[:2] or not theirs[2].isdigit():
        return False
    return _start_time(int(theirs[2])) != theirs[3]


def _start_time(pid: int) -> str:
    """The 22nd field of proc_pid_stat(5), "" for a process that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
