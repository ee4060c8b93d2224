"""The service at work: does one lead, is anything overdue, does the watchdog watch?"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from ajrd.config import Config
from ajrd.doctor.check import QUESTION, Check, Finding, Group, Look, NotAsked, fail, ok, skip, warn
from ajrd.doctor.database import seen
from ajrd.doctor.slurm import answer
from ajrd.doctor.tools import UNIT, address_of, in_thread, told_by, watchdog_unit
from ajrd.doctor.web import over_socket
from ajrd.errors import WebUnavailable
from ajrd.recovery.leadership import RENEWALS
from ajrd.settings import lease_seconds
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.holds import own_hold
from ajrd.store import rows
from ajrd.store.driver import Connection, connect
from ajrd.store.queries import Query, the_lease
from ajrd.store.records import LeaseRecord

#: What a hold or a decision may be late by: the watchdog's grace, and an hour of Slurm's own delay.
GRACE, PATIENCE = timedelta(seconds=30), timedelta(hours=1)
#: The newest decisions, of which those without a database are counted.
NEWEST = 1000
#: How far back errors are looked for; bytes and lines of a log.
RECENT, TAIL, LINES = timedelta(hours=1), 4 << 20, 5000
_LOOK = "ajrd watchdog --once"
_TIME = "%Y-%m-%d %H:%M:%S.%f"


@dataclass(frozen=True, slots=True)
class Books:
    """What the store says of the service, at ``now`` by the database's clock."""

    now: datetime
    lease: LeaseRecord | None
    open: int
    late: int
    degraded: int

    @property
    def leads(self) -> bool:
        """Does anybody lead?"""
        lease = self.lease
        return lease is not None and bool(lease.holder) and lease.expires_at > self.now


async def books(look: Look) -> Books:
    """Raises NotAsked while there is nothing to read."""
    await seen(look)
    address, limit = address_of(look), look.config.recovery.hold_limit
    return await in_thread(lambda: _read(connect(address), timedelta(seconds=limit)))


def _read(db: Connection, hold_limit: timedelta) -> Books:
    with closing(db):
        if not {"leases", "decisions"} <= db.tables():
            raise NotAsked("not looked at: the database has no tables of this ajrd")
        now = db.now()
        lease = db.all(the_lease())
        pending = db.all(_pending(now, now - hold_limit - PATIENCE))[0]
        degraded = db.all(_degraded())[0]["degraded"]
    return Books(
        now,
        rows.lease(lease[0]) if lease else None,
        int(pending["pending"]),
        int(pending["late"] or 0),
        int(degraded or 0),
    )


def _pending(now: datetime, old: datetime) -> Query:
    late = "hold_deadline < :now OR created_at < :old"
    return Query(
        f"SELECT COUNT(*) AS pending, SUM(CASE WHEN {late} THEN 1 ELSE 0 END) AS late"  # noqa: S608
        " FROM decisions WHERE decisions.state = 'open'",
        {"now": (now - GRACE).strftime(_TIME), "old": old.strftime(_TIME)},
    )


def _degraded() -> Query:
    newest = "SELECT degraded FROM decisions ORDER BY id DESC LIMIT :most"
    return Query(f"SELECT SUM(degraded) AS degraded FROM ({newest}) newest", {"most": NEWEST})  # noqa: S608


def judge_leader(found: Books, _config: Config) -> Finding:
    """One, on any host."""
    lease = found.lease
    if lease is not None and found.leads:
        return ok(f"{lease.host} pid {lease.pid}, epoch {lease.epoch}")
    last = "nobody has ever led" if lease is None else f"nobody; the last was {lease.host}"
    return fail(last, "systemctl start ajrd; journalctl -u ajrd -n 50")


def judge_heartbeat(found: Books, config: Config) -> Finding:
    """A lease is renewed several times in its length."""
    if found.lease is None or not found.leads:
        return skip("not looked at: nobody leads")
    age = (found.now - found.lease.renewed_at).total_seconds()
    said = f"the lease was renewed {max(age, 0.0):.1f} s ago"
    late = age > 3 * lease_seconds(config) / RENEWALS
    return warn(f"{said}: late", "journalctl -u ajrd -n 50") if late else ok(said)


def judge_decisions(found: Books, _config: Config) -> Finding:
    """Each is over soon, or Slurm is not there."""
    if found.late:
        said = f"{found.late} of {found.open} open decisions are past their deadline"
        return fail(said, "ajrd history --since 7d; journalctl -u ajrd -n 50")
    return ok(f"{found.open} open, none past its deadline")


def judge_degraded(found: Books, _config: Config) -> Finding:
    """Carried out from memory because the database was away."""
    said = f"{found.degraded} of the last {NEWEST} decisions were carried out without a database"
    return (
        warn(said, "ajrd db check; journalctl -u ajrd | grep -i database")
        if found.degraded
        else ok(said)
    )


@dataclass(frozen=True, slots=True)
class Holds:
    """How many jobs ajrd holds, and those that it holds for too long."""

    held: int
    late: tuple[str, ...]


async def holds(look: Look) -> Holds:
    """By the mark in AdminComment, as the watchdog sees it."""
    await answer(look)
    section = look.config.slurm
    slurm = CliSlurm(section.conf, section.bin_dir, min(section.timeout, QUESTION))
    marked = [hold for job in await slurm.jobs() if (hold := own_hold(job))]
    now = datetime.now(UTC)
    return Holds(len(marked), tuple(hold.job_id for hold in marked if hold.deadline + GRACE < now))


def judge_holds(found: Holds, config: Config) -> Finding:
    """None is held because nobody looks after it."""
    if found.late:
        said = f"held past their deadline: {', '.join(found.late[:20])}"
        conf = config.slurm.conf
        return fail(said, f"{_LOOK} --slurm-conf {shlex.quote(conf)}" if conf else _LOOK)
    return ok(f"{found.held} jobs held, none past its deadline")


@dataclass(frozen=True, slots=True)
class Dog:
    """How the watchdog is known to be there; ``unit`` "" where systemd does not tell."""

    pids: tuple[int, ...]
    unit: str


async def dog(look: Look) -> Dog:
    """It sends nobody a sign of life: the process list and systemd are asked."""
    state = ""
    with suppress(NotAsked):
        found = await look.once(watchdog_unit)
        state = found.active if found.loaded else "not installed"
    return Dog(tuple(await in_thread(lambda: list(watchdogs(Path("/proc"))))), state)


def watchdogs(proc: Path) -> Iterator[int]:
    """The processes whose command line is ``ajrd watchdog``."""
    for each in proc.iterdir():
        if not each.name.isdigit():
            continue
        with suppress(OSError):
            words = (each / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            pairs = pairwise(words)
            if any(re.fullmatch(r"(.*/)?ajrd", a) and b == "watchdog" for a, b in pairs):
                yield int(each.name)


def judge_dog(found: Dog, _config: Config) -> Finding:
    """Without one, what a dead ajrd holds stays held."""
    if found.pids or found.unit == "active":
        who = ", ".join(map(str, found.pids))
        return ok(f"runs as process {who}" if who else "its unit is active")
    said = "no watchdog runs on this host" + (f" (its unit: {found.unit})" if found.unit else "")
    return warn(said, "systemctl enable --now ajrd-watchdog")


@dataclass(frozen=True, slots=True)
class Troubles:
    """Errors and warnings of the last hour by their event, and where they were read."""

    where: str
    counts: Counter[str]


async def troubles(look: Look) -> Troubles:
    """Of the running service, else of its log; raises NotAsked without either."""
    since = datetime.now(UTC) - RECENT
    with suppress(NotAsked, WebUnavailable):
        told = (await over_socket(look, "/api/v1/service")).document().get("troubles")
        if isinstance(told, list):
            return Troubles("the service", Counter(recent(told, since, levels=None)))
    parsed = (document(line) for line in await own_log(look))
    where = str(look.log or "the journal")
    return Troubles(where, Counter(recent(parsed, since, levels=("error", "critical"))))


async def own_log(look: Look) -> list[str]:
    """The last lines of the service's own log; raises NotAsked if it is nowhere to be had."""
    log = look.log
    if log is not None:
        return await in_thread(lambda: tail(log, TAIL))
    done = await told_by("journalctl", f"--unit={UNIT}", "--output=cat", f"--lines={LINES}", "-q")
    if done.code or not done.out:
        raise NotAsked("the journal has nothing of the service; give its log by --log FILE")
    return done.out[-TAIL:].split("\n")


def recent(told: Iterable[Any], since: datetime, levels: tuple[str, ...] | None) -> Iterator[str]:
    """The names of the events since then; ``levels`` None: of all."""
    for each in told:
        if not isinstance(each, dict) or (levels and each.get("level") not in levels):
            continue
        with suppress(ValueError, TypeError):
            at = datetime.fromisoformat(str(each.get("at") or each.get("timestamp")))
            if at >= since:
                yield str(each.get("event"))[:64]


def document(line: str) -> Any:
    """One line of JSON; None for any other."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def tail(log: Path, most: int) -> list[str]:
    """The complete lines within the last ``most`` bytes of a regular file."""
    if not log.is_file():
        raise NotAsked(f"{log} is no file that can be read")
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - most, 0))
        lines = file.read(most).decode("utf-8", "replace").split("\n")
    return lines[1 if size > most else 0 :]


def judge_troubles(found: Troubles, _config: Config) -> Finding:
    """What the service has complained of, in the last hour."""
    if not found.counts:
        return ok(f"none in the last hour, by {found.where}")
    most = ", ".join(f"{event} {count} times" for event, count in found.counts.most_common(5))
    return warn(
        f"in the last hour, by {found.where}: {most}", "journalctl -u ajrd -p warning -n 50"
    )


_G, _START = Group.SERVICE, "systemctl start ajrd"
CHECKS: tuple[Check[Any], ...] = (
    Check("leader", _G, "does an ajrd lead", books, judge_leader, _START),
    Check("heartbeat", _G, "the age of its lease", books, judge_heartbeat, _START),
    Check("decisions", _G, "open decisions past their deadline", books, judge_decisions, _START),
    Check("degraded", _G, "decisions made without a database", books, judge_degraded, _START),
    Check("holds", _G, "jobs that ajrd holds past their deadline", holds, judge_holds,
          _LOOK),
    Check("watchdog", _G, "does the watchdog run", dog, judge_dog,
          "systemctl enable --now ajrd-watchdog"),
    Check("errors", _G, "what the service complained of in the last hour", troubles,
          judge_troubles, "journalctl -u ajrd -n 50"),
)  # fmt: skip
