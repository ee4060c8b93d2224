"""The commands that read the store, as their users meet them: output, exit codes, hostile text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ajrd.model import DecisionState, Verb
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.records import DecisionRecord
from ajrd.store.store import Store
from tests.unit.samples import anomaly, at, job

UNREAD = "cannot read /srv/evil\x1b[2J.out: permission denied"
HOSTILE = "evil\x1b[2J\u202ename\nJob 8"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


async def fill(url: str) -> None:
    store = await Store.open(url)
    seen = job(name=HOSTILE)
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=at(0)), "seen")
    attempt = await store.save_attempt(opened(record, seen, at(0)), at(0), "attempt_started")
    found = await store.record_evidence(attempt, [anomaly(3)], None, None, at(3))
    decision = DecisionRecord(
        id=0,
        attempt=attempt.id,
        anomaly=found[0].id,
        verb=Verb.REQUEUE,
        branch="requeue",
        reason="CRASH segfault: requeue 1 of 1",
        exclude_nodes="",
        state=DecisionState.CONVERGED,
        outcome="successor_started",
        detail="",
        hold_deadline=None,
        created_at=at(5),
        closed_at=at(9),
    )
    await store.write_decision(decision, record, attempt, ())
    await store.note_logs(attempt.id, UNREAD)
    await store.close()


@pytest.fixture
async def ajrd(tmp_path: Path) -> Run:
    database = tmp_path / "ajrd.sqlite"
    await fill(f"sqlite+aiosqlite:///{database}")
    config = tmp_path / "config.yaml"
    config.write_text(f"database: {{url: 'sqlite:///{database}'}}\nslurm: {{bin_dir: /none}}\n")

    def run(*argv: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *python, "-m", "ajrd", *argv],
            env={"AJRD_CONFIG": str(config), "PATH": "/usr/bin:/bin", "TZ": "UTC"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_status_shows_attempt_evidence_decision_and_outcome(ajrd: Run) -> None:
    done = ajrd("status", "7")
    assert done.returncode == 0
    assert "0        RUNNING  n[1-2]" in done.stdout
    assert "CRASH segfault" in done.stdout
    assert "converged: successor_started" in done.stdout
    assert "> Rank0: (1) segmentation fault" in done.stdout


def test_status_tells_what_of_the_logs_could_not_be_read(ajrd: Run) -> None:
    shown = ajrd("status", "7").stdout
    assert "logs      cannot read /srv/evil" in shown
    assert ".out: permission denied" in shown


@pytest.mark.parametrize("argv", [("status", "7"), ("list",)])
def test_hostile_text_reaches_no_terminal(ajrd: Run, argv: tuple[str, ...]) -> None:
    shown = ajrd(*argv).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\nJob 8" not in shown
    assert "evil" in shown


def test_json_holds_the_text_as_it_is(ajrd: Run) -> None:
    told = json.loads(ajrd("status", "7", "--json").stdout)
    assert told["job"]["name"] == HOSTILE
    assert told["attempts"][0]["decision"]["outcome"] == "successor_started"
    assert told["attempts"][0]["anomalies"][0]["detected_at"] == "2026-01-01T12:00:03+00:00"
    assert [each["job"]["job_id"] for each in json.loads(ajrd("list", "--json").stdout)] == ["7"]


def test_list_selects_by_user_and_partition(ajrd: Run) -> None:
    assert len(ajrd("list").stdout.splitlines()) == 2
    assert len(ajrd("list", "-n", "-u", "ada", "-p", "main").stdout.splitlines()) == 1
    assert ajrd("list", "-n", "-u", "bob").stdout.strip() == ""


def test_what_is_no_job_id_is_a_usage_error(ajrd: Run) -> None:
    done = ajrd("status", "7; rm")
    assert done.returncode == 2
    assert "is no job id" in done.stderr


def test_an_unreachable_slurm_is_told_for_a_job_that_the_store_does_not_know(ajrd: Run) -> None:
    done = ajrd("status", "99")
    assert done.returncode == 3
    assert "cannot run /none/" in done.stderr


def test_a_missing_store_is_told_with_what_to_do(ajrd: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("database: {url: 'sqlite:////nowhere/x.sqlite'}\n")
    done = ajrd("status", "7", "--config", str(other))
    assert done.returncode == 3
    assert "has the service (ajrd run) been started" in done.stderr


def test_a_wrong_configuration_is_a_usage_error(ajrd: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("recovery:\n  mod: act\n")
    done = ajrd("config", "check", str(other))
    assert done.returncode == 2
    assert f"{other}:2: recovery.mod" in done.stderr


def test_status_imports_no_web_stack_and_no_database_toolkit(ajrd: Run) -> None:
    done = ajrd("status", "7", python=("-X", "importtime"))
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ajrd.store.read" in imported
    assert not imported & {"aiohttp", "asyncio", "hyperscan", "pydantic", "rich", "sqlalchemy"}
