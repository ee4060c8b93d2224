"""The processes of the benchmark: a Loki, ajrd's reader of it, and a client that only tails."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp

from ajrd.config import LokiSection
from ajrd.judgement import Judgement
from ajrd.loki.watch import LokiWatch
from ajrd.model import Directive, JobInfo, JobState, ResumeMode
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.records import AnomalyRecord
from ajrd.store.store import Store
from tests.loki.double import Double

_CONTEXT = multiprocessing.get_context("spawn")
_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass
class Child:
    """A process that says things, the first of them when it is ready."""

    process: Any
    says: Connection
    first: Any = None

    @classmethod
    def start(cls, target: Callable[..., None], *arguments: object) -> Child:
        """Starts it and waits until it is ready."""
        ours, its = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=target, args=(its, *arguments), daemon=True)
        process.start()
        child = cls(process, ours)
        child.first = child.hear(120)
        return child

    def hear(self, patience: float) -> Any:
        """The next that it says; None if it says nothing."""
        return self.says.recv() if self.says.poll(max(patience, 0)) else None

    def ask(self, what: str) -> Any:
        """Its answer."""
        self.says.send(what)
        return self.hear(60)

    @property
    def cpu(self) -> float:
        """CPU that it has used, seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    @property
    def memory(self) -> float:
        """Memory that it holds, MB."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * _PAGE / 1e6

    def end(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.join()


def serve(says: Connection) -> None:
    """A double of Loki; says where it is, and then nothing."""
    double = Double()
    double.rate = 1 << 40
    says.send(double.url)
    time.sleep(86400)


def read(says: Connection, url: str, job: str, age: float, tail: bool, interval: float) -> None:
    """ajrd's reader, which is told that job 7 runs since ``age`` s; says when each line is kept."""
    asyncio.run(_read(says, url, job, age, tail, interval))


async def _read(
    says: Connection, url: str, job: str, age: float, tail: bool, interval: float
) -> None:
    with tempfile.TemporaryDirectory(prefix="ajrd-bench-") as folder:
        store = await Store.open(f"sqlite:///{folder}/ajrd.sqlite")
        section = LokiSection(url=url, jobs=(f'{{job="{job}"}}',), tail=tail, interval=interval)
        watch = LokiWatch(section, store, Judgement(()), lambda: datetime.now(UTC))

        def learn(_attempt: int, new: list[AnomalyRecord], _pulse: object) -> None:
            now = time.time()
            for record in new:
                says.send((record.anomaly.finding.text, now))

        watch.learn = learn
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch.run())
            tasks.create_task(_attend(watch, store, age))
            await _ready(watch, tail)
            says.send("ready")
            while True:
                await asyncio.to_thread(says.poll, None)
                says.recv()
                health = watch.health[0]
                says.send({"entries": health.entries, "swept": health.swept})


async def _ready(watch: LokiWatch, tail: bool) -> None:
    health = watch.health[0]
    while not (health.tails if tail else health.requests):  # noqa: ASYNC110 -- from outside
        await asyncio.sleep(0.01)


async def _attend(watch: LokiWatch, store: Store, age: float) -> None:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=age)
    seen = JobInfo(
        job_id="7", raw_id=7, name="train", user="ada", uid=1, partition="p",
        state=JobState.RUNNING, submit_time=began, start_time=began,
    )  # fmt: skip
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=began), "seen")
    attempt = await store.save_attempt(opened(record, seen, began), began, "started")
    directive = Directive(mode=ResumeMode.REQUEUE, max_requeue_times=1)
    while True:
        await watch.attend(record, seen, attempt, directive)
        await asyncio.sleep(0.2)


def only_tail(says: Connection, url: str, job: str) -> None:
    """A client as it is written first: tails everything, and greps."""
    asyncio.run(_only_tail(says, url, job))


async def _only_tail(says: Connection, url: str, job: str) -> None:
    counts = {"lines": 0, "found": 0, "named as dropped": 0}
    async with aiohttp.ClientSession() as session:
        query = {"query": f'{{job="{job}"}}', "start": str(time.time_ns())}
        async with session.ws_connect(f"{url}/loki/api/v1/tail", params=query) as socket:
            says.send("ready")
            asyncio.get_running_loop().add_reader(says.fileno(), _tell, says, counts)
            async for message in socket:
                frame = json.loads(message.data)
                lines = [value[1] for each in frame["streams"] for value in each["values"]]
                counts["lines"] += len(lines)
                counts["found"] += sum("segmentation fault" in line for line in lines)
                counts["named as dropped"] += len(frame.get("dropped_entries") or ())


def _tell(says: Connection, counts: dict[str, int]) -> None:
    says.recv()
    says.send(dict(counts))
