"""``ajrd efficiency`` as people and programs meet it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ajrd.cli.efficiency import efficiency
from ajrd.recovery.bookkeeping import Bookkeeping
from ajrd.store.address import Address
from ajrd.store.store import Store
from tests.database.test_efficiency_records import Scene, a_recovery
from tests.unit.samples import at

Run = Callable[..., Awaitable[tuple[int, str]]]
EVIL = "=cmd|'/C calc'!A0<script>\x1b[31m\n\u202etxt"


@pytest.fixture
def ajrd(address: Address, tmp_path: Path) -> Run:
    """Runs the command on the database; its exit code and all it said."""
    config = tmp_path / "config.yaml"
    section = {"url": address.url, "password_file": address.password_file}
    wanted = {key: value for key, value in section.items() if value}
    config.write_text(yaml.safe_dump({"database": wanted}))

    async def run(*argv: str) -> tuple[int, str]:
        command = [*argv, "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, efficiency, command)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return run


@pytest.fixture
async def scene(store: Store) -> Scene:
    scene = Scene(store)
    second = await a_recovery(scene)
    await scene.progress(second, 1130, 600)
    await scene.end(second, 2010, "COMPLETED")
    await scene.turn(3000)
    return scene


async def test_a_job_is_shown_attempt_by_attempt(ajrd: Run, scene: Scene) -> None:
    code, said = await ajrd("7")
    lines = said.splitlines()
    assert code == 0
    assert lines[0].split()[:4] == ["JOBID", "ATTEMPT", "STATE", "CAUSE"]
    first = lines[1].split()
    assert first[:4] == ["7", "0", "REQUEUED", "segfault"]
    assert first[5:9] == ["00:00:10", "00:01:00", "00:15:05", "00:05:05"]
    assert lines[-1].startswith(
        "ETTR 77.5%; 3.3 of 4.2 GPU-hours were of use; recovery saved 00:28"
    )


async def test_an_unknown_job_is_told_from_one_without_records(ajrd: Run, scene: Scene) -> None:
    code, said = await ajrd("99")
    assert (code, "no attempt of job 99 is over" in said) == (1, True)


@pytest.mark.parametrize(
    ("by", "key"),
    [
        ("job", "7"),
        ("user", "ada"),
        ("partition", "main"),
        ("cause", "segfault"),
        ("week", "2026-W01"),
    ],
)
async def test_attempts_are_summed_up_by(ajrd: Run, scene: Scene, by: str, key: str) -> None:
    code, said = await ajrd("--since", "2025-12-01", "--by", by, "--json")
    groups = {each[by]: each for each in json.loads(said)}
    assert code == 0
    assert groups[key]["recovered"] == 1
    assert sum(each["attempts"] for each in groups.values()) == 2


async def test_csv_and_json_say_the_same(ajrd: Run, scene: Scene) -> None:
    rows = list(csv.DictReader(io.StringIO((await ajrd("7", "--csv"))[1])))
    records = json.loads((await ajrd("7", "--json"))[1])
    assert [row["lost_seconds"] for row in rows] == ["305.0", "0.0"]
    assert [record["lost_seconds"] for record in records] == [305.0, 0.0]
    assert records[0]["started_at"] == at(100).isoformat()
    assert rows[1]["requeue_wait_seconds"] == ""


async def test_only_what_is_asked_for_is_counted(ajrd: Run, scene: Scene) -> None:
    later = (at(5000) + timedelta(days=1)).isoformat()
    assert (await ajrd("--since", later, "--json"))[1] == "[]\n"
    code, said = await ajrd("--since", "now-2weeks")
    assert code == 0
    code, said = await ajrd("--since", "some day")
    assert (code, "is no time: YYYY-MM-DD" in said) == (2, True)


async def test_names_of_strangers_do_no_harm(ajrd: Run, scene: Scene) -> None:
    (record,) = [r for r in (await scene.records()).values() if r.attempt_idx == 0]
    evil = replace(record, user=EVIL, partition=EVIL, cause=EVIL, job_name=EVIL)
    await scene.store.save_efficiency([evil], at(3000))
    for argv in (("7",), ("--since", "2025-12-01", "--by", "user"), ("7", "--csv")):
        said = (await ajrd(*argv))[1]
        assert "\x1b" not in said
        assert "\u202e" not in said
    cells = [cell for row in csv.reader(io.StringIO((await ajrd("7", "--csv"))[1])) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]
    assert json.loads((await ajrd("7", "--json"))[1])[0]["user"].startswith("=cmd")


async def test_a_time_back_from_now_is_understood(ajrd: Run, store: Store) -> None:
    scene = Scene(store)
    job = await scene.submit()
    started = datetime.now(UTC) - timedelta(hours=30)
    attempt = await scene.start(job, 0, (started - at(0)).total_seconds())
    await scene.end(attempt, (started - at(0)).total_seconds() + 60, "COMPLETED")
    await Bookkeeping(store, lambda: 0.0, lambda: datetime.now(UTC)).turn()
    assert len(json.loads((await ajrd("--since", "2d", "--json"))[1])) == 1
    assert json.loads((await ajrd("--since", "24h", "--json"))[1]) == []
