"""The web server of the benchmark, in a process of its own, so that its CPU time can be told."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from ajrd.config import EfficiencySection, WebSection
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.web.serve import application, serving
from ajrd.web.site import ServiceFacts, Site

#: So many requests that nothing is refused, and time for a loaded machine, seconds.
_MANY, _PATIENCE = 1_000_000, 60.0


class _View:
    """A service that was just started."""

    def facts(self) -> ServiceFacts:
        """Nothing in particular."""
        return ServiceFacts(
            version="bench",
            role="leader",
            mode="act",
            host="bench",
            pid=os.getpid(),
            started_at=datetime.now(UTC),
            rules=0,
            rules_digest="",
        )


@contextmanager
def server(address: Address, path: Path) -> Iterator[int]:
    """Serves at ``path`` meanwhile; the number of the process."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_run, args=(address, str(path), theirs), daemon=True)
    process.start()
    try:
        if not mine.poll(_PATIENCE):
            raise TimeoutError("the web server did not start")
        mine.recv()
        assert process.pid is not None
        yield process.pid
    finally:
        mine.send("end")
        process.join(_PATIENCE)


def _run(address: Address, path: str, pipe: Connection) -> None:
    asyncio.run(_serve(address, path, pipe))


async def _serve(address: Address, path: str, pipe: Connection) -> None:
    database = Database(address)
    section = WebSection(socket=path, requests_per_minute=_MANY)
    site = Site(database, section, EfficiencySection(), _View(), lambda: datetime.now(UTC))
    async with serving(site, application(site)):
        pipe.send("serves")
        await asyncio.to_thread(pipe.recv)
    await database.close()


def cpu_seconds(pid: int) -> float:
    """What a process has used, user and system (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
