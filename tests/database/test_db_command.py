"""``ajrd db`` as an administrator meets it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ajrd.cli.db import db
from ajrd.errors import StoreUnavailable
from ajrd.model import DecisionState
from ajrd.store.address import Address
from ajrd.store.pruning import BATCH, Pruned
from ajrd.store.schema import REVISION
from ajrd.store.store import Store
from tests.database.samples import POSITION, a_decision, a_job
from tests.database.server import Schema
from tests.database.test_migrations import make_old
from tests.unit.samples import anomaly, at

Run = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def ajrd(address: Address, tmp_path: Path) -> Run:
    """Runs the command on the database; its exit code and all it said."""
    config = tmp_path / "config.yaml"

    def run(*argv: str, **changes: str) -> tuple[int, str]:
        section = {"url": address.url, "password_file": address.password_file, **changes}
        config.write_text(yaml.safe_dump({"database": section}))
        done = CliRunner().invoke(db, [*argv, "--config", str(config)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    async def beside(*argv: str, **changes: str) -> tuple[int, str]:
        return await asyncio.to_thread(run, *argv, **changes)

    return beside


async def test_from_nothing_to_the_newest_tables(ajrd: Run) -> None:
    assert await ajrd("current") == (0, f"no tables (this ajrd needs {REVISION})\n")
    code, said = await ajrd("check")
    assert (code, "it has no tables: start ajrd" in said) == (1, True)
    assert await ajrd("upgrade") == (0, f"revision {REVISION}, was empty\n")
    assert await ajrd("current") == (0, f"{REVISION} (the newest)\n")
    code, said = await ajrd("check")
    assert (code, said.endswith(f": right; revision {REVISION}\n")) == (0, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
async def test_a_file_that_root_makes_is_the_services(ajrd: Run, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 54320, 54321)
    url = f"sqlite:///{folder}/ajrd.sqlite"
    assert await ajrd("upgrade", url=url) == (0, f"revision {REVISION}, was empty\n")
    owners = {(each.stat().st_uid, each.stat().st_gid) for each in folder.iterdir()}
    assert owners == {(54320, 54321)}


async def test_old_tables_are_taken_over(ajrd: Run, address: Address) -> None:
    await make_old(address)
    code, said = await ajrd("check")
    assert (code, "run `ajrd db upgrade" in said) == (1, True)
    assert await ajrd("upgrade") == (0, f"revision {REVISION}, was 0001\n")
    assert await ajrd("upgrade") == (0, f"revision {REVISION}\n")


@pytest.mark.parametrize("address", ["mariadb"], indirect=True)
async def test_a_database_that_is_not_there_is_unreachable(ajrd: Run) -> None:
    with pytest.raises(StoreUnavailable, match="failed while looking at its tables"):
        await ajrd("check", url="mysql://ajrd@127.0.0.1:1/none")


@pytest.mark.parametrize("address", ["mariadb"], indirect=True)
async def test_what_a_mysql_user_or_table_lacks_is_said(
    ajrd: Run, store: Store, mysql: Schema
) -> None:
    mysql.query(
        f"REVOKE DELETE, ALTER ON {mysql.name}.* FROM {mysql.name};"
        " ALTER TABLE leases ENGINE=Aria; ALTER TABLE events CONVERT TO CHARACTER SET latin1"
    )
    code, said = await ajrd("check")
    assert code == 1
    assert "lacks rights: GRANT ALTER, DELETE ON" in said
    assert "table leases is not InnoDB with utf8mb4_bin: ALTER TABLE leases" in said
    assert "table events is not InnoDB with utf8mb4_bin: ALTER TABLE events" in said


async def keep(store: Store, job_id: str, seen_at: datetime, state: DecisionState | None) -> None:
    """A job with all that belongs to it; ``state`` None leaves it open."""
    record, attempt = await a_job(store, job_id)
    await store.record_evidence(attempt, [anomaly()], POSITION, None, at(1))
    decision = replace(a_decision(attempt), state=state or DecisionState.CONVERGED)
    await store.write_decision(decision, record, attempt, ())
    await store.save_job(replace(record, closed=state is not None, seen_at=seen_at))


async def test_prune_forgets_only_what_is_old_and_over(ajrd: Run, store: Store) -> None:
    today, old = datetime.now(UTC), datetime.now(UTC) - timedelta(days=500)
    await keep(store, "1", old, DecisionState.CONVERGED)
    await keep(store, "2", old, None)
    await keep(store, "3", old, DecisionState.OPEN)
    await keep(store, "4", today, DecisionState.CONVERGED)
    await store.log(old, "leader", "of no job")
    await store.log(today, "leader", "of no job")
    code, said = await ajrd("prune")
    assert (code, said.startswith("forgot 1 jobs with 1 attempts, and 1 events")) == (0, True)
    assert [await store.latest_job("c", number) is None for number in "1234"] == [
        True, False, False, False,
    ]  # fmt: skip
    code, said = await ajrd("prune", "--days", "501")
    assert (code, said.startswith("forgot 0 jobs")) == (0, True)


async def test_pruning_goes_in_short_steps(store: Store) -> None:
    for number in range(BATCH + 1):
        await keep(store, str(number), at(9), DecisionState.CONVERGED)
    assert await store.prune(at(10)) == Pruned(BATCH, BATCH, 0)
    assert await store.prune(at(10)) == Pruned(1, 1, 0)
    assert await store.prune(at(10)) == Pruned()
