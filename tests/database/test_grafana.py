"""Every query of the efficiency dashboard, run as Grafana would run it, by the user it has."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from numbers import Number
from pathlib import Path
from typing import Any

import pymysql
import pytest
import yaml
from pymysql.cursors import DictCursor

from ajrd.kpi.efficiency import efficiency
from ajrd.kpi.milestones import Milestones, Steps, Successor
from ajrd.kpi.summary import summarize
from ajrd.store.address import Address
from ajrd.store.administration import Admin
from ajrd.store.efficiency import EfficiencyRecord
from ajrd.store.granting import Reader, grant_reader
from ajrd.store.store import Store
from tests.database.grafana import sent
from tests.database.server import Server, a_schema
from tests.database.test_efficiency_records import Scene
from tests.unit.samples import at

ETC = Path(__file__).parents[2] / "etc" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((ETC / "dashboards" / "efficiency.json").read_text())
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in DASHBOARD["panels"]}
#: What each panel shows, by the columns of its query; a time series begins with its time.
COLUMNS = {
    "ETTR": ["ettr"],
    "Measured attempts": ["measured"],
    "Goodput": ["goodput"],
    "Recovered attempts": ["recovered"],
    "Saved against recovery by hand": ["saved_hours"],
    "GPU-hours of waiting saved": ["saved_gpu_hours"],
    "ETTR over time": ["time", "ettr"],
    "GPU-hours: kept and allocated": ["time", "allocated", "goodput"],
    "Downtime by week": ["time", "detection", "kill", "queue", "restart", "people"],
    "Saved against recovery by hand, by week": ["time", "by_hand", "automatic", "saved"],
    "Failures by cause": ["cause", "recovered", "left_alone"],
    "Jobs that lost most work": [
        "job_id", "name", "user", "attempts", "lost", "lost_gpu_hours", "ettr",
    ],
    "Attempts": [
        "time", "job_id", "attempt", "name", "user", "partition", "state", "cause", "outcome",
        "gpus", "queued", "starting", "productive", "lost", "automatic", "manual", "saved",
        "complete",
    ],
}  # fmt: skip
#: The plugin sets the zone; MySQL 8 is as strict about groups by default.
SESSION = "SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',ONLY_FULL_GROUP_BY')"
SINCE, UNTIL = at(-86400), at(86400 * 60)
QUOTE = "o'hara"
EVERYBODY = {"partition": ["main", "other"], "user": ["ada", QUOTE]}


@dataclass(frozen=True)
class Report:
    """What is in the table, and how Grafana asks for it."""

    records: list[EfficiencyRecord]
    connection: pymysql.Connection[DictCursor]

    def ask(self, sql: str, **variables: list[str]) -> list[dict[str, Any]]:
        text = sent(sql, SINCE, UNTIL, EVERYBODY | variables)
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def panel(self, title: str, **variables: list[str]) -> list[dict[str, Any]]:
        return self.ask(PANELS[title]["targets"][0]["rawSql"], **variables)

    def total(self) -> Any:
        return summarize(record.parts for record in self.records)


@pytest.fixture(scope="module")
def report(mariadb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """Sixty attempts of two users, and the reader's connection, set up as Grafana's plugin does."""
    schema = a_schema(mariadb, tmp_path_factory.mktemp("grafana"))
    records = asyncio.run(written(schema.address()))
    name, socket = f"r{secrets.token_hex(6)}", str(mariadb.database.socket)
    address, admin = schema.address(), Admin(socket=socket)
    password = grant_reader(address, admin, Reader(name, "localhost"), None)
    assert password is not None
    connection = pymysql.connect(
        unix_socket=socket, user=name, password=password, database=schema.name,
        init_command=SESSION, cursorclass=DictCursor,
    )  # fmt: skip
    yield Report(records, connection)
    connection.close()
    schema.query(f"DROP DATABASE {schema.name}; DROP USER {schema.name}, {name}@localhost")


async def written(address: Address) -> list[EfficiencyRecord]:
    store = await Store.open(address)
    try:
        records = await some_records(store)
        await store.save_efficiency(records, at(0))
    finally:
        await store.close()
    return records


async def some_records(store: Store) -> list[EfficiencyRecord]:
    rng, scene, records = random.Random(1), Scene(store), []  # noqa: S311 -- always the same
    for number in range(60):
        job = await scene.submit(str(number + 1), number * 40000)
        attempt = await scene.start(job, 0, number * 40000 + 60)
        m = some_milestones(rng, number * 40000)
        records.append(
            EfficiencyRecord(
                attempt=attempt.id, cluster="c", job_id=job.job_id, job_name="<b>train</b>",
                user=rng.choice(EVERYBODY["user"]), partition=rng.choice(EVERYBODY["partition"]),
                attempt_idx=0, state="COMPLETED" if m.well else "REQUEUED", kind="CRASH",
                cause=rng.choice(["segfault", "nccl_timeout", ""]), outcome="", node_count=1,
                submitted_at=m.submitted, eligible_at=None, started_at=m.started,
                failed_at=m.failed, ended_at=m.ended, parts=efficiency(m, UNTIL, 1800.0),
            )
        )  # fmt: skip
    return records


def some_milestones(rng: random.Random, start: float) -> Milestones:
    """An attempt that completed, was recovered, was resubmitted by somebody, or told nothing."""
    kind = rng.choice(["well", "recovered", "people", "silent"])
    first, last = start + rng.uniform(70, 300), start + rng.uniform(2000, 9000)
    failed = last + rng.uniform(0, 600)
    begun = failed + rng.uniform(60, 9000)
    steps = Steps(first_at=at(first), last_at=at(last), first_step=0, last_step=1000)
    return Milestones(
        submitted=at(start),
        started=at(start + 60),
        ended=at(failed + 3),
        steps=None if kind == "silent" else steps,
        failed=None if kind == "well" else at(failed),
        decided=at(failed + 2) if kind == "recovered" else None,
        successor=None
        if kind == "well"
        else Successor(started=at(begun), first_progress=at(begun + 90), first_step=600),
        well=kind == "well",
        recovered=kind == "recovered",
        by_people=kind == "people",
        gpus=8,
    )


def test_every_panel_is_looked_at() -> None:
    assert set(PANELS) == set(COLUMNS)


@pytest.mark.parametrize("title", COLUMNS)
def test_a_panel_gets_the_columns_that_it_shows(report: Report, title: str) -> None:
    panel = PANELS[title]
    rows = report.panel(title)
    assert rows
    assert list(rows[0]) == COLUMNS[title]
    if panel["targets"][0]["format"] == "time_series":
        times = [row["time"] for row in rows]
        assert times == sorted(times)
        values = [value for row in rows for name, value in row.items() if value is not None]
        assert all(isinstance(value, Number) for value in values)
    shown = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
    assert shown <= set(COLUMNS[title])
    assert panel["datasource"] == panel["targets"][0]["datasource"]


def test_the_ratios_are_those_of_the_formulas(report: Report) -> None:
    total = report.total()
    assert report.panel("ETTR") == [{"ettr": pytest.approx(total.ettr)}]
    measured = report.panel("Measured attempts")[0]["measured"]
    assert float(measured) == pytest.approx(total.measured / total.attempts, abs=1e-4)
    assert 0.5 < float(measured) < 1


def test_the_sums_are_those_of_the_formulas(report: Report) -> None:
    total = report.total()
    assert report.panel("Recovered attempts")[0]["recovered"] == total.recovered
    saved = report.panel("Saved against recovery by hand")[0]["saved_hours"]
    assert saved == pytest.approx(total.saved / 3600)
    gpu_hours = report.panel("GPU-hours of waiting saved")[0]["saved_gpu_hours"]
    assert gpu_hours == pytest.approx(total.saved_gpu_hours)
    by_week = report.panel("GPU-hours: kept and allocated")
    assert sum(row["goodput"] for row in by_week) == pytest.approx(total.goodput_gpu_hours)
    assert sum(row["allocated"] for row in by_week) == pytest.approx(total.allocated_gpu_hours)


def test_the_stacked_downtime_is_all_of_it_but_what_ended_by_itself(report: Report) -> None:
    """Where ajrd decided nothing, the 3 s from failure to end are in no part."""
    total, by_week = report.total(), report.panel("Downtime by week")
    hours = sum(value for row in by_week for name, value in row.items() if name != "time")
    alone = sum(
        record.failed_at is not None and not record.parts.recovered for record in report.records
    )
    whole = total.automatic_downtime + total.manual_downtime
    assert hours * 3600 == pytest.approx(whole - 3 * alone)
    people = sum(row["people"] for row in by_week)
    assert people * 3600 == pytest.approx(total.manual_downtime)
    assert people > 0


def test_weeks_begin_on_monday_midnight_utc(report: Report) -> None:
    for row in report.panel("Downtime by week"):
        when = datetime.fromtimestamp(float(row["time"]), tz=at(0).tzinfo)
        assert (when.weekday(), when.time()) == (0, datetime.min.time())


def test_the_variables_choose(report: Report) -> None:
    names = {variable["name"]: variable["query"] for variable in DASHBOARD["templating"]["list"]}
    assert set(names) == set(EVERYBODY)
    for name, query in names.items():
        found = [next(iter(row.values())) for row in report.ask(query)]
        assert found == sorted(EVERYBODY[name])
    mine = report.panel("Attempts", user=[QUOTE], partition=["main"])
    wanted = [r for r in report.records if (r.user, r.partition) == (QUOTE, "main")]
    assert len(mine) == len(wanted) > 0


def test_nothing_is_shown_of_another_time_or_of_an_empty_table(report: Report) -> None:
    for title, panel in PANELS.items():
        sql = panel["targets"][0]["rawSql"]
        long_ago = at(0) - timedelta(days=900)
        with report.connection.cursor() as cursor:
            cursor.execute(sent(sql, long_ago, long_ago, EVERYBODY))
            rows = list(cursor.fetchall())
            assert all(not value for row in rows for value in row.values()), title
            cursor.execute(sent(sql, SINCE, UNTIL, {"partition": [], "user": []}))


def test_what_is_provisioned_fits_together() -> None:
    folder = ETC / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "ajrd-mysql.yaml").read_text())
    (only,) = source["datasources"]
    used = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert used == {only["uid"]}
    assert (only["type"], only["jsonData"]["timezone"]) == ("mysql", "+00:00")
    assert only["secureJsonData"]["password"].startswith("$__file{")
    providers = yaml.safe_load((folder / "dashboards" / "ajrd.yaml").read_text())["providers"]
    assert [provider["type"] for provider in providers] == ["file"]
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
