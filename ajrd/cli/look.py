"""Where the commands look: into the store, or over the service's socket who may not read the store.

Both sides answer with the same records and rows; :func:`looking` chooses. A wish goes over the
socket first: there the kernel says who wishes, and the service whether he may.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ajrd.cli.storeurl import store_address, web_socket
from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.model import RequestVerb
from ajrd.store import shown
from ajrd.store.address import Address
from ajrd.store.history import JobHistory, read_history
from ajrd.store.read import Reader
from ajrd.store.records import JobRecord, RequestRecord
from ajrd.store.rows import Row

if TYPE_CHECKING:
    from ajrd.cli.remote import Remote
    from ajrd.store.efficiency import EfficiencyRecord


class Look(Protocol):
    """What the commands ask; raises StoreUnavailable. Rows are as :mod:`ajrd.store.shown` says."""

    def close(self) -> None:
        """Lets go."""

    def now(self) -> datetime:
        """The time by which what is shown is measured."""

    def job(self, job_id: str) -> JobRecord | None:
        """The newest submission with this id."""

    def array_tasks(self, array_job_id: str) -> list[JobRecord]:
        """The known tasks of an array job."""

    def recent_jobs(self, limit: int, user: str | None, partition: str | None) -> list[JobRecord]:
        """The newest jobs, newest first."""

    def story(self, job: JobRecord, events: int = 200) -> JobHistory:
        """All that is known of a job."""

    def requests(self, job: JobRecord) -> list[RequestRecord]:
        """What was asked of a job last, oldest first."""

    def request(self, number: int) -> RequestRecord:
        """One request."""

    def attempts_since(
        self,
        since: datetime,
        until: datetime | None,
        wanted: Mapping[str, str | None],
        limit: int,
    ) -> Sequence[Row]:
        """Attempts with their decisions, newest first."""

    def events_after(self, number: int, job: JobRecord | None, limit: int) -> Sequence[Row]:
        """The newest events with a higher number, newest first."""

    def suspicions(self, since: datetime, limit: int) -> Sequence[Row]:
        """Nodes that were implicated, newest first."""

    def efficiency_of(self, job_id: str, limit: int) -> list[EfficiencyRecord]:
        """The efficiency of every attempt of the jobs that had this id, oldest first."""

    def efficiency_since(self, since: datetime, limit: int) -> list[EfficiencyRecord]:
        """The efficiency of the attempts that started since a moment, newest first."""

    def leads(self) -> bool:
        """Does a service lead?"""

    def ask(self, job: JobRecord, verb: RequestVerb, reason: str) -> int:
        """Writes a request; its number, or that of an open one for the same thing."""


class StoreLook:
    """Into the store itself."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._reader = Reader(address)
        self.close, self.now = self._reader.close, self._reader.now
        self.job, self.array_tasks = self._reader.job, self._reader.array_tasks
        self.recent_jobs, self.request = self._reader.recent_jobs, self._reader.request
        self.efficiency_of = self._reader.efficiency_of
        self.efficiency_since = self._reader.efficiency_since

    def story(self, job: JobRecord, events: int = 200) -> JobHistory:
        """All that is known of a job."""
        return read_history(self._reader, job, events)

    def requests(self, job: JobRecord) -> list[RequestRecord]:
        """What was asked of a job last, oldest first."""
        return self._reader.requests(job.id)

    def attempts_since(
        self,
        since: datetime,
        until: datetime | None,
        wanted: Mapping[str, str | None],
        limit: int,
    ) -> Sequence[Row]:
        """Attempts with their decisions, newest first."""
        return self._reader.select(shown.history(since, until, wanted, limit))

    def events_after(self, number: int, job: JobRecord | None, limit: int) -> Sequence[Row]:
        """The newest events with a higher number, newest first."""
        return self._reader.select(shown.events_after(number, job.id if job else None, limit))

    def suspicions(self, since: datetime, limit: int) -> Sequence[Row]:
        """Nodes that were implicated, newest first."""
        return self._reader.select(shown.suspicions(since, limit))

    def leads(self) -> bool:
        """Does a service lead?"""
        lease = self._reader.lease()
        return lease is not None and bool(lease.holder) and lease.expires_at > self.now()

    def ask(self, job: JobRecord, verb: RequestVerb, reason: str) -> int:
        """Writes a request as whoever runs this."""
        import asyncio

        from ajrd.cli.writing import write_request

        return asyncio.run(write_request(self._address, job.id, verb, me(), reason))


@contextmanager
def looking(given: Path | None) -> Iterator[Look]:
    """Into the store of a configuration, or over the socket if the store cannot be read."""
    try:
        look: Look = StoreLook(store_address(given))
    except (StoreUnavailable, ConfigError):
        remote = _remote(given)
        if remote is None:
            raise
        look = remote
    try:
        yield look
    finally:
        look.close()


@contextmanager
def wishing(given: Path | None) -> Iterator[Look]:
    """Over the socket, or where there is none through the store."""
    remote = _remote(given)
    if remote is None:
        with looking(given) as look:
            yield look
        return
    try:
        yield remote
    finally:
        remote.close()


def _remote(given: Path | None) -> Remote | None:
    """The service behind the socket; None if there is none that takes connections."""
    path = web_socket(given)
    if path is None:
        return None
    from ajrd.cli.remote import connect

    return connect(path)


def me(name_of: Callable[[int], pwd.struct_passwd] = pwd.getpwuid) -> str:
    """The login name of this process, or its number."""
    uid = os.getuid()
    try:
        return name_of(uid).pw_name
    except KeyError:
        return str(uid)
