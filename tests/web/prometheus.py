"""A real Prometheus for tests, and the expressions that ajrd ships for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from labcluster.ports import free_block
from labcluster.processes import start
from tests.unit.test_loop import until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc/prometheus/ajrd.rules.yaml"
DASHBOARD = ROOT / "etc/grafana/dashboards/operations.json"
ALERT_TESTS = Path(__file__).parent / "alerts.test.yaml"
#: What Grafana puts in the place of its variables.
VARIABLES = {"$instance": ".*", "$__rate_interval": "30s"}
_NAME = re.compile(r"\b(?:ajrd|process|python)_[a-z0-9_]+\b(?!\s*=)")


def alerts() -> list[dict[str, Any]]:
    """Every alert as it stands in the file."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel that shows something."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def drawn() -> Iterator[tuple[str, str]]:
    """(title of the panel, expression) pairs, with the variables filled in."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def metrics_in(expression: str) -> set[str]:
    """The names of metrics that an expression uses, those of histograms without their ends."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in _NAME.findall(expression)}


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    url: str
    session: aiohttp.ClientSession

    async def ask(self, expression: str) -> list[Any]:
        """What an expression gives at this moment; AssertionError if it is not understood."""
        async with self.session.get(
            f"{self.url}/api/v1/query", params={"query": expression}
        ) as answer:
            body = await answer.json()
            assert body["status"] == "success", (expression, body)
            result: list[Any] = body["data"]["result"]
            return result

    async def sees(self, expression: str) -> None:
        """Waits until an expression gives something."""

        async def seen() -> bool:
            return bool(await self.ask(expression))

        await until(seen, limit=60)

    async def alerts_known(self) -> set[str]:
        """The names of the alerts that it has loaded."""
        async with self.session.get(f"{self.url}/api/v1/rules") as answer:
            groups = (await answer.json())["data"]["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """Scrapes ``target`` (HOST:PORT) many times a second, with ajrd's rules loaded."""
    job = {"job_name": "ajrd", "static_configs": [{"targets": [target]}]}
    config = {
        "global": {"scrape_interval": "200ms", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [job],
    }
    file, port = folder / "prometheus.yml", free_block(1)
    file.write_text(yaml.safe_dump(config))
    argv = [
        "prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    daemon = start("prometheus", argv, folder / "prometheus.log", os.environ)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            await until(lambda: _ready(session, url), limit=60)
            yield Prometheus(url, session)
    finally:
        daemon.end()


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def promtool(*argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs promtool to its end; ``text`` is its input."""
    return subprocess.run(
        ["promtool", *argv], input=text, capture_output=True, text=True, timeout=60
    )
