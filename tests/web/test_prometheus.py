"""What ajrd ships for Prometheus and Grafana works on what ajrd really tells."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from ajrd.errors import SlurmRejected, StoreUnavailable
from ajrd.store import queries
from ajrd.vitals import names
from tests.web.living import Living, living, served
from tests.web.prometheus import (
    ALERT_TESTS,
    DASHBOARD,
    ROOT,
    RULES,
    alerts,
    drawn,
    metrics_in,
    panels,
    prometheus,
    promtool,
)

#: Metrics of prometheus_client's own that the dashboard shows.
FOREIGN = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
DECLARED = {metric.name for metric in names.ALL} | FOREIGN


async def with_everything(service: Living) -> None:
    """Makes every counter move that a panel shows only when it does."""
    await service.recover()
    slurm = service.vitals.parts.slurm
    assert slurm is not None
    with suppress(SlurmRejected):
        await slurm.release("99")
    with suppress(StoreUnavailable):
        await service.store._all(queries.Query("SELECT nothing FROM nowhere"))


async def test_every_panel_draws_something_and_every_alert_is_understood(tmp_path: Path) -> None:
    async with (
        living(tmp_path) as service,
        served(service, tmp_path) as client,
        prometheus(tmp_path, f"127.0.0.1:{client.port}") as server,
    ):
        await service.slurm_and_lease()
        await server.sees("ajrd_slurm_up == 1")
        await with_everything(service)
        await server.sees("ajrd_attempts_started_total == 2")
        await server.sees('ajrd_slurm_refusals_total{operation="release"} > 0')
        empty = [(title, text) for title, text in drawn() if not await server.ask(text)]
        assert empty == []
        for alert in alerts():
            await server.ask(alert["expr"])
        assert await server.alerts_known() == {alert["alert"] for alert in alerts()}


def test_only_metrics_that_exist_are_asked_for() -> None:
    expressions = [text for _title, text in drawn()] + [alert["expr"] for alert in alerts()]
    asked = {name for text in expressions for name in metrics_in(text)}
    assert asked - DECLARED == set()


def test_every_metric_is_shown_somewhere() -> None:
    shown = {name for _title, text in drawn() for name in metrics_in(text)}
    assert DECLARED - shown == set()


def test_promtool_takes_rules_and_example() -> None:
    for argv in (("rules", RULES), ("config", ROOT / "etc/prometheus/prometheus.example.yaml")):
        done = promtool("check", *map(str, argv))
        assert done.returncode == 0, done.stderr


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    done = promtool("test", "rules", str(ALERT_TESTS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_scenario_of_its_own() -> None:
    scenarios = {test["name"] for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"]}
    assert {alert["alert"] for alert in alerts()} <= scenarios


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_each_alert_says_what_is_wrong_and_what_to_do(alert: dict[str, object]) -> None:
    said = alert["annotations"]
    assert isinstance(said, dict)
    assert set(said) == {"summary", "description", "action"}
    assert alert["labels"] in [{"severity": level} for level in ("critical", "warning", "info")]


def test_the_dashboard_fits_any_grafana() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    for panel in panels():
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
