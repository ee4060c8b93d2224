"""Loki as it is, as it should be, and when it does not answer."""

from __future__ import annotations

import time
from typing import Any

from ajrd.doctor.check import Finding, Group, Level
from ajrd.doctor.table import CHECKS
from tests.doctor.conftest import Examined
from tests.loki.double import Double
from tests.loki.shipping import Shipper

NAMES = [check.name for check in CHECKS if check.group is Group.LOKI]


def ship(double: Double, **labels: str) -> None:
    streams = {"job": "slurm", **labels}
    Shipper(double.url).push(streams, [(time.time_ns() - 10**9, "a line")])


async def levels(examined: Examined, **loki: Any) -> tuple[dict[str, str], dict[str, Finding]]:
    found = await examined(*NAMES, loki=loki)
    return {name: each.level.value for name, each in found.items()}, found


async def test_without_a_url_nobody_is_asked(examined: Examined) -> None:
    assert set((await levels(examined))[0].values()) == {"skip"}


async def test_lines_that_name_their_job_are_well(double: Double, examined: Examined) -> None:
    ship(double, job_id="7")
    seen, found = await levels(examined, url=double.url)
    assert set(seen.values()) == {"ok"}, found
    assert found["ready"].found == f"{double.url} is ready, version 3.3.2"
    assert found["labels"].found == "lines are told apart by job_id"


async def test_lines_that_name_nobody_are_told_with_their_labels(
    double: Double, examined: Examined
) -> None:
    ship(double, app="x")
    seen, found = await levels(examined, url=double.url)
    assert (seen["lines"], seen["labels"]) == ("ok", "warn")
    assert "no line has one of the labels" in found["labels"].found
    assert 'app="x"' in found["labels"].detail


async def test_each_tenant_without_lines_is_named(double: Double, examined: Examined) -> None:
    seen, found = await levels(examined, url=double.url, tenants=["ops", "ml"])
    assert (seen["lines"], seen["queries"]) == ("warn", "ok")
    assert found["lines"].found == 'no line in 10 min: ops: {job="slurm"}; ml: {job="slurm"}'
    assert found["ready"].found.endswith("version 3.3.2, 2 tenants")


async def test_a_refused_token_and_a_loki_that_is_away_fail_once(
    double: Double, examined: Examined
) -> None:
    double.secret = "Bearer x"
    seen, found = await levels(examined, url=double.url, tenants=["ops"])
    assert list(seen.values()) == ["fail", "skip", "skip", "skip"]
    assert found["ready"].found.startswith("tenant ops: Loki does not let ajrd read")
    double.stop()
    seen, found = await levels(examined, url=double.url)
    assert list(seen.values()) == ["fail", "skip", "skip", "skip"]
    assert "Cannot connect" in found["ready"].found
    assert found["ready"].level is Level.FAIL
