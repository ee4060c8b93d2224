"""Lists, the dashboard, and 500 open event streams over 100,000 attempts in a MariaDB of its own.

Times are those of one reader on the UNIX socket, from the request to the last byte. The CPU time is
that of the server's process alone, while events are written and every stream hears all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from ajrd.store.store import Store
from bench.web.serving import cpu_seconds, server
from tests.database.many import history
from tests.database.server import Schema, Server, a_schema

_NOW = datetime(2027, 1, 1, tzinfo=UTC)
#: What is asked for, and the time within which it should come, milliseconds.
PAGES = (
    ("/api/v1/jobs", 50.0),
    ("/api/v1/jobs?user=u0", 50.0),
    ("/api/v1/jobs?user=u49", 50.0),
    ("/api/v1/jobs?state=RUNNING", 50.0),
    ("/api/v1/attempts", 50.0),
    ("/api/v1/attempts?user=u49", 50.0),
    ("/api/v1/anomalies?cause=xid", 50.0),
    ("/api/v1/decisions?state=open", 50.0),
    ("/api/v1/events", 50.0),
    ("/api/v1/efficiency", 50.0),
    ("/api/v1/jobs/40000", 50.0),
    ("/", 300.0),
)


def main() -> int:
    """Prints the figures; exit code 1 if one of them is too large."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="ajrd-bench-") as name:
        folder = Path(name)
        database = Server(folder)
        try:
            schema = a_schema(database, folder)
            asyncio.run(_fill(schema, arguments.attempts))
            path = folder / "ajrd.sock"
            with server(schema.address(), path) as pid:
                times = arguments.streams_only or _times(path, arguments.rounds)
                share = asyncio.run(_streams(path, pid, schema, arguments))
        finally:
            database.daemon.end()
    return 0 if times and share < 0.2 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run web", description=__doc__)
    parser.add_argument("--attempts", type=int, default=100_000)
    parser.add_argument("--streams-only", action="store_true")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=5.0, help="events in a second")
    return parser


async def _fill(schema: Schema, attempts: int) -> None:
    store = await Store.open(schema.address())
    await store.close()
    began = time.monotonic()
    schema.query(history(attempts))
    print(f"{attempts} attempts written in {time.monotonic() - began:.1f} s\n")


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("host", timeout=60)
        self._path = str(path)

    def connect(self) -> None:
        """Not by a host's name."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def _times(path: Path, rounds: int) -> bool:
    connection, good = _OverSocket(path), True
    print(f"{'page':<32}{'bytes':>10}{'median ms':>12}{'p95 ms':>10}{'limit ms':>10}")
    for page, limit in PAGES:
        took, size, status = [], 0, 0
        for _ in range(rounds):
            began = time.perf_counter()
            connection.request("GET", page)
            answer = connection.getresponse()
            size, status = len(answer.read()), answer.status
            took.append(1000 * (time.perf_counter() - began))
        if status != http.HTTPStatus.OK:
            print(f"{page:<32}  answered {status}")
            continue
        p95 = quantiles(took, n=20)[-1]
        print(f"{page:<32}{size:>10}{median(took):>12.1f}{p95:>10.1f}{limit:>10.0f}")
        good &= median(took) <= limit
    connection.close()
    return good


async def _streams(path: Path, pid: int, schema: Schema, asked: argparse.Namespace) -> float:
    """The share of one core that the server uses for open streams."""
    heard: list[int] = [0] * asked.streams
    ready = asyncio.Semaphore(0)
    readers = [
        asyncio.create_task(_listen(path, number, heard, ready)) for number in range(asked.streams)
    ]
    for _ in readers:
        await ready.acquire()
    idle = await _share(pid, asked.seconds / 4)
    writing = asyncio.create_task(_write(schema, asked.seconds, asked.rate))
    share = await _share(pid, asked.seconds)
    written = await writing
    await _until_heard(heard, written)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    print(
        f"\n{asked.streams} open event streams: {100 * idle:.1f} % of a core while nothing", end=""
    )
    print(f" happens, {100 * share:.1f} % with {written / asked.seconds:.1f} events/s", end="")
    print(f" (limit 20 %); {min(heard)} to {max(heard)} of {written} events heard by each")
    return share


async def _share(pid: int, seconds: float) -> float:
    before, began = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


async def _until_heard(heard: list[int], written: int) -> None:
    deadline = time.monotonic() + 30
    while min(heard) < written and time.monotonic() < deadline:  # noqa: ASYNC110 -- 500 tell it
        await asyncio.sleep(0.2)


async def _listen(path: Path, number: int, heard: list[int], ready: asyncio.Semaphore) -> None:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: host\r\n\r\n")
    await reader.readuntil(b"retry: 3000\n\n")
    ready.release()
    rest = b""
    while chunk := await reader.read(65536):
        rest += chunk
        heard[number] += rest.count(b"\ndata: ")
        rest = rest[-6:] if not rest.endswith(b"\ndata: ") else b""


async def _write(schema: Schema, seconds: float, rate: float) -> int:
    store = await Store.open(schema.address())
    written, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        await store.log(_NOW, "decision", f"requeue: CRASH segfault {written}", job=7)
        written += 1
        await asyncio.sleep(1 / rate)
    await store.close()
    return written


if __name__ == "__main__":
    sys.exit(main())
