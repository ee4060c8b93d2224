"""Other programs of the host, and the service as a process: asked, never waited for long."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ajrd.doctor.check import QUESTION, Look, NotAsked
from ajrd.errors import AjrdError, SlurmUnavailable
from ajrd.recovery.leadership import this_process
from ajrd.secret import RUNNING, read_secret
from ajrd.slurm.process import Finished, environment, run
from ajrd.store.address import Address
from ajrd.store.read import Reader

T = TypeVar("T")
#: The units of systemd.
UNIT, WATCHDOG = "ajrd.service", "ajrd-watchdog.service"
#: Seconds for what other checks only want to know by the way.
_HURRY = 2.0
#: Seconds for a program of the host.
PROGRAM = 3.0


async def told_by(*argv: str) -> Finished:
    """What a program of the host says; raises NotAsked if it is not there or silent."""
    if shutil.which(argv[0]) is None:
        raise NotAsked(f"this host has no {argv[0]}")
    try:
        return await run(argv, environment(os.environ, None), PROGRAM)
    except SlurmUnavailable:
        raise NotAsked(f"{argv[0]} gave no answer within {PROGRAM:g} s") from None


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as systemd knows it; ``user`` "" is root."""

    loaded: bool
    active: str
    user: str


async def unit(name: str) -> Unit:
    """Asks systemd; raises NotAsked where it does not run."""
    done = await told_by("systemctl", "show", name, "--property=LoadState,ActiveState,User")
    if done.code:
        raise NotAsked("systemd does not run here")
    return parse_unit(done.out)


def parse_unit(text: str) -> Unit:
    """From ``systemctl show``."""
    lines = (line.partition("=") for line in text.splitlines())
    found = {key: value for key, _, value in lines}
    loaded, active = found.get("LoadState") == "loaded", found.get("ActiveState", "")
    return Unit(loaded, active, found.get("User", ""))


async def service_unit(_look: Look) -> Unit:
    """The unit of the service."""
    return await unit(UNIT)


async def watchdog_unit(_look: Look) -> Unit:
    """The unit of the watchdog."""
    return await unit(WATCHDOG)


async def service_pid(look: Look) -> int | None:
    """The process that leads, if it runs on this host; None also if that cannot be told."""
    try:
        async with asyncio.timeout(_HURRY):
            return await in_thread(lambda: _leader_here(address_of(look, _HURRY)))
    except (AjrdError, TimeoutError):  # another check says what is wrong with the database
        return None


def address_of(look: Look, limit: float = QUESTION) -> Address:
    """Where the database is, with a time limit (s) that fits in here."""
    address = look.config.database.address()
    return replace(address, timeout=min(address.timeout, limit))


def _leader_here(address: Address) -> int | None:
    with closing(Reader(address)) as reader:
        lease = reader.lease()
    if lease is None or not lease.holder or lease.host != socket.gethostname():
        return None
    mine = this_process().split(".")[:2]
    alive = lease.holder.split(".")[:2] == mine and Path(f"/proc/{lease.pid}").exists()
    return lease.pid if alive else None


@dataclass(frozen=True, slots=True)
class Account:
    """A user, and how it is known that the service runs as it."""

    uid: int
    name: str
    groups: frozenset[int]
    why: str


async def service_account(look: Look) -> Account:
    """Whom the service runs as: by its process, else its unit, else whoever asks."""
    pid = await look.once(service_pid)
    if pid is not None:
        uid = await in_thread(lambda: os.stat(f"/proc/{pid}").st_uid)
        return await in_thread(lambda: account(uid, f"as process {pid} does"))
    try:
        found = await look.once(service_unit)
    except NotAsked:
        found = None
    if found is not None and found.loaded:
        entry = await in_thread(lambda: pwd.getpwnam(found.user or "root"))
        return await in_thread(lambda: account(entry.pw_uid, f"by {UNIT}"))
    return await in_thread(lambda: account(os.geteuid(), "as whoever asks"))


def account(uid: int, why: str) -> Account:
    """A user by its number; one that the host does not know has no groups."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(uid, str(uid), frozenset(), why)
    groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(uid, entry.pw_name, groups, why)


def given(credential: str) -> str | None:
    """The file in which systemd hands a secret to the running service, if it may be read."""
    file = RUNNING / credential
    return str(file) if os.access(file, os.R_OK) else None


def secret_of(file: str | None, credential: str, whose: str) -> bytes | None:
    """A secret of the service, empty if there is none; None if that cannot be told from here.

    Raises ConfigError for a file that must not or cannot be used.
    """
    found = read_secret(file or given(credential), credential, whose)
    hidden = not (found or file or os.access(RUNNING, os.X_OK))
    return None if hidden else found


async def in_thread(work: Callable[[], T]) -> T:
    """Does what may block in a thread that nobody waits for at the end."""
    return await asyncio.to_thread(work)
