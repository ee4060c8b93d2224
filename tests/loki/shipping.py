"""What ships lines to Loki: by its push interface, to the double and to a real one alike."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
