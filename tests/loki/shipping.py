"""What ships lines to Loki: by its push interface, to the double and to a real one alike."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Value = tuple[int, str]


@dataclass(frozen=True)
class Shipper:
    """Pushes to one tenant of a Loki; waits where Loki says that it is too much."""

    url: str
    tenant: str = ""

    async def ship(
        self,
        labels: dict[str, str],
        values: Iterable[Value],
        metadata: dict[str, str] | None = None,
    ) -> None:
        """As :meth:`push`, while other tasks go on."""
        await asyncio.to_thread(self.push, labels, values, metadata, at_once=20_000)

    def push(
        self,
        labels: dict[str, str],
        values: Iterable[Value],
        metadata: dict[str, str] | None = None,
        *,
        at_once: int = 5000,
    ) -> None:
        """Ships lines of one stream, each with its time in ns."""
        lines: list[list[Any]] = [[str(ns), line] for ns, line in values]
        if metadata:
            for line in lines:
                line.append(metadata)
        for first in range(0, len(lines), at_once):
            self._post({"streams": [{"stream": labels, "values": lines[first : first + at_once]}]})

    def _post(self, content: object) -> None:
        headers = {"Content-Type": "application/json"}
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        place, body = urlsplit(self.url), json.dumps(content)
        deadline = time.monotonic() + 30
        while True:
            connection = http.client.HTTPConnection(place.netloc, timeout=30)
            connection.request("POST", f"{place.path}/loki/api/v1/push", body, headers)
            answer = connection.getresponse()
            said = answer.read().decode()
            connection.close()
            if answer.status == 204:
                return
            assert answer.status == 429, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)


def numbered(lines: Sequence[str], start: int, step: int = 1) -> list[Value]:
    """Lines with times from ``start`` on, ns."""
    return [(start + number * step, line) for number, line in enumerate(lines)]


class FileShipper:
    """Reads the log files of a folder as an agent on a node would, and ships their lines.

    Their time is that of the writing, however late this thread gets to read them: by it ajrd tells
    an attempt's lines from those of its successor.
    """

    def __init__(self, shipper: Shipper, folder: Path) -> None:
        self._shipper = shipper
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FileShipper:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for path in [*self._folder.glob("*.log"), *self._folder.glob("slurm-*.out")]:
                if path.name != "ajrd.log":
                    self._ship_new(path)

    def _ship_new(self, path: Path) -> None:
        with path.open("rb") as file:
            written = os.fstat(file.fileno()).st_mtime_ns
            file.seek(self._read.get(path, 0))
            block = file.read()
        complete = block[: block.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(complete)
        lines = complete.decode("utf-8", "replace").splitlines()
        if lines:
            labels = {"job": "slurm", "filename": str(path)}
            self._shipper.push(labels, numbered(lines, written))
