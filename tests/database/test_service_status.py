"""``ajrd status --service`` as an administrator or a monitor meets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ajrd.cli.status import status
from ajrd.store.address import Address
from ajrd.store.schema import REVISION
from ajrd.store.store import Store
from tests.database.test_migrations import make_old

Run = Callable[..., Awaitable[tuple[int, str]]]
#: Seconds: a lease that lasts for the test, and one that is over when it has been taken.
LONG, OVER = 600.0, 0.0


@pytest.fixture
def ajrd(address: Address, tmp_path: Path) -> Run:
    """Runs the command on the database; its exit code and all it said."""
    config = tmp_path / "config.yaml"

    def run(*argv: str, **changes: str) -> tuple[int, str]:
        section = {"url": address.url, "password_file": address.password_file, **changes}
        if address.password_file is None:
            del section["password_file"]
        config.write_text(yaml.safe_dump({"database": section}))
        done = CliRunner().invoke(status, [*argv, "--config", str(config)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    async def beside(*argv: str, **changes: str) -> tuple[int, str]:
        return await asyncio.to_thread(run, *argv, **changes)

    return beside


async def test_a_leader_is_shown_and_is_a_success(ajrd: Run, store: Store) -> None:
    await store.acquire_lease("a", "head1", 42, LONG)
    code, said = await ajrd("--service")
    assert code == 0
    assert said.startswith("leader    head1 pid 42, epoch 1, since ")
    assert said.rstrip().endswith(f", revision {REVISION}")
    code, said = await ajrd("--service", "--json")
    told = json.loads(said)
    assert (code, told["leader"], told["lease"]["host"]) == (0, True, "head1")
    assert told["database"]["reachable"] is True


async def test_nobody_has_led_yet(ajrd: Run, store: Store) -> None:
    code, said = await ajrd("--service")
    assert (code, "leader    none; nobody has led yet" in said) == (3, True)


async def test_a_lease_that_has_run_out_is_no_leader(ajrd: Run, store: Store) -> None:
    await store.acquire_lease("a", "head1", 42, OVER)
    code, said = await ajrd("--service")
    assert code == 3
    assert "none; the last was head1 pid 42, epoch 1, its lease ran out 00:00:" in said


async def test_a_lease_that_was_given_back_is_no_leader(ajrd: Run, store: Store) -> None:
    await store.acquire_lease("a", "head1", 42, LONG)
    await store.release_lease()
    code, said = await ajrd("--service", "--json")
    told = json.loads(said)
    assert (code, told["leader"], told["lease"]["given_back"]) == (3, False, True)


async def test_tables_from_before_there_were_leases(ajrd: Run, address: Address) -> None:
    await make_old(address)
    code, said = await ajrd("--service")
    assert code == 3
    assert "nobody has led yet" in said
    assert said.rstrip().endswith(", revision none")


async def test_a_database_that_does_not_answer_is_told_with_the_reason(ajrd: Run) -> None:
    away = "mysql://ajrd@127.0.0.1:1/ajrd"
    code, said = await ajrd("--service", url=away)
    assert code == 3
    assert said.startswith("leader    unknown\ndatabase  cannot reach the database ajrd at")
    code, said = await ajrd("--service", "--json", url=away)
    assert (code, json.loads(said)["database"]["reachable"]) == (3, False)


async def test_a_job_or_the_service_never_both_nor_neither(ajrd: Run) -> None:
    for argv in ([], ["7", "--service"]):
        code, said = await ajrd(*argv)
        assert (code, "give a job id, or --service" in said) == (2, True)
