"""Who leads, and how the database is: looked at once, shown as text or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ajrd.errors import StoreUnavailable
from ajrd.store.address import Address
from ajrd.store.read import Reader
from ajrd.store.records import LeaseRecord
from ajrd.text import elapsed, local_time, printable


@dataclass(frozen=True, slots=True)
class ServiceState:
    """``now`` is the database's clock, None if it does not answer: then ``error`` says why."""

    url: str
    error: str = ""
    revision: str = ""
    lease: LeaseRecord | None = None
    now: datetime | None = None

    @property
    def leader(self) -> LeaseRecord | None:
        """The lease, if somebody holds it and it has not run out."""
        lease = self.lease
        live = lease and lease.holder and self.now and lease.expires_at > self.now
        return lease if live else None


def look(address: Address) -> ServiceState:
    """A database that does not answer is part of the picture."""
    try:
        reader = Reader(address)
        try:
            return ServiceState(address.url, "", reader.revision(), reader.lease(), reader.now())
        finally:
            reader.close()
    except StoreUnavailable as error:
        return ServiceState(address.url, str(error))


def service_text(seen: ServiceState) -> str:
    """What ``ajrd status --service`` prints."""
    database = seen.error or f"{seen.url}, revision {seen.revision or 'none'}"
    return printable(f"leader    {_leader(seen)}") + "\n" + printable(f"database  {database}")


def _leader(seen: ServiceState) -> str:
    lease, now = seen.lease, seen.now
    if now is None:
        return "unknown"
    if lease is None:
        return "none; nobody has led yet"
    who = f"{lease.host} pid {lease.pid}, epoch {lease.epoch}"
    if seen.leader is not None:
        since, until = local_time(lease.acquired_at), local_time(lease.expires_at)
        return f"{who}, since {since}, lease until {until}"
    ago = elapsed((now - lease.expires_at).total_seconds())
    return f"none; the last was {who}, its lease {'ran out' if lease.holder else 'ended'} {ago} ago"


def service_json(seen: ServiceState) -> dict[str, Any]:
    """The object that ``ajrd status --service --json`` prints; times in ISO 8601, UTC."""
    lease = seen.lease
    return {
        "leader": seen.leader is not None,
        "lease": lease
        and {
            "host": lease.host,
            "pid": lease.pid,
            "epoch": lease.epoch,
            "acquired_at": lease.acquired_at.isoformat(),
            "renewed_at": lease.renewed_at.isoformat(),
            "expires_at": lease.expires_at.isoformat(),
            "given_back": not lease.holder,
        },
        "database": {
            "url": seen.url,
            "reachable": not seen.error,
            "error": seen.error,
            "revision": seen.revision,
        },
    }
