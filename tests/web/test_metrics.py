"""What machines are told: metrics, alive, ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from ajrd.vitals import names
from tests.web.living import Client, Living, later, living, served
from tests.web.prometheus import promtool

#: Metrics of prometheus_client's own.
FOREIGN = ("process_", "python_")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Living]:
    async with living(tmp_path) as service:
        yield service


@pytest.fixture
async def client(service: Living, tmp_path: Path) -> AsyncIterator[Client]:
    async with served(service, tmp_path) as client:
        yield client


async def scrape(client: Client, **headers: str) -> str:
    answer = await client.get("/metrics", headers=headers)
    assert answer.status == 200
    return await answer.text()


async def test_promtool_finds_nothing_to_complain_about(service: Living, client: Client) -> None:
    await service.recover()
    text = await scrape(client)
    done = await asyncio.to_thread(promtool, "check", "metrics", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_everything_that_is_told_is_declared_and_the_other_way_round(
    service: Living, client: Client
) -> None:
    await service.slurm_and_lease()
    told = {
        (family.name + ("_total" if family.type == "counter" else "")): family
        for family in plain(await scrape(client))
        if not family.name.startswith(FOREIGN)
    }
    assert set(told) == {metric.name for metric in names.ALL}
    for metric in names.ALL:
        family = told[metric.name]
        assert (family.type, family.documentation) == (metric.type.value, metric.help)
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert labels == set(metric.labels), metric.name


async def test_no_label_holds_what_users_choose(service: Living, client: Client) -> None:
    job_id = await service.recover()
    job = await service.seen(job_id)
    values = {
        value
        for family in plain(await scrape(client))
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert values.isdisjoint({job_id, job.name, job.user, job.work_dir, job.std_out, "segfault"})


async def test_who_asks_for_openmetrics_gets_it(client: Client) -> None:
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.content_type == "application/openmetrics-text"
    text = await answer.text()
    assert text.endswith("# EOF\n")
    families = open_metrics(text)  # type: ignore[no-untyped-call]
    assert "ajrd_build_info" in {family.name for family in families}


async def test_who_takes_gzip_gets_it_and_nobody_else(client: Client) -> None:
    zipped = await client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert "ajrd_build_info" in await zipped.text()
    bare = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in bare.headers


async def test_it_lives_whatever_is_wrong(service: Living, tmp_path: Path) -> None:
    async with served(service, tmp_path, later(3600)) as client:
        answer = await client.get("/healthz")
        assert (answer.status, await answer.json()) == (200, {"alive": True})


async def test_it_is_ready_once_slurm_has_answered(service: Living, client: Client) -> None:
    answer = await client.get("/readyz")
    assert (answer.status, await answer.json()) == (
        503,
        {
            "ready": False,
            "role": "leader",
            "reasons": ["Slurm has not answered since the start"],
        },
    )
    await service.slurm_and_lease()
    answer = await client.get("/readyz")
    ready = {"ready": True, "role": "leader", "reasons": []}
    assert (answer.status, await answer.json()) == (200, ready)


async def test_one_who_stands_by_is_ready_too_and_says_so(service: Living, client: Client) -> None:
    await service.slurm_and_lease()
    service.vitals.stands_by()
    answer = await client.get("/readyz")
    assert (answer.status, (await answer.json())["role"]) == (200, "standby")


async def test_a_silent_slurm_makes_it_unready(service: Living, tmp_path: Path) -> None:
    await service.slurm_and_lease()
    async with served(service, tmp_path, later(90)) as client:
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert "Slurm has not answered for 9" in (await answer.json())["reasons"][0]


async def test_a_database_without_tables_makes_it_unready(service: Living, tmp_path: Path) -> None:
    await service.slurm_and_lease()
    folder = tmp_path / "none"
    folder.mkdir()
    async with served(service, folder) as client:
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert (await answer.json())["reasons"] == ["the database does not answer"]
