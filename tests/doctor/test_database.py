"""The database as it is, as it should be, and when it does not answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd.config import Config, DatabaseSection
from ajrd.doctor import database
from ajrd.doctor.check import Finding, Group, Level
from ajrd.doctor.database import Room, Seen, ServerFacts, excessive
from ajrd.doctor.table import CHECKS
from ajrd.logs.mounts import Mount
from ajrd.store.address import Address
from ajrd.store.schema import REVISION
from ajrd.store.store import Store
from tests.database.samples import a_job
from tests.database.server import Schema
from tests.doctor.conftest import Examined

NAMES = [check.name for check in CHECKS if check.group is Group.DATABASE]
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FACTS = ServerFacts("10.11.14-MariaDB", "utf8mb4", "/var/lib/mysql", ())
SEEN = Seen(0.01, 0.0, None, FACTS, NOW)
FAR = Config(database=DatabaseSection(url="mysql://ajrd@db.example.org/ajrd"))
HERE = Config(database=DatabaseSection(url="mysql://ajrd@localhost/ajrd?unix_socket=/run/s"))


def changed(**facts: Any) -> Seen:
    return replace(SEEN, server=replace(FACTS, **facts))


def a_room(free: int, fstype: str = "ext4") -> Room:
    return Room("/var/lib/ajrd", Mount("/", fstype), free)


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (database.judge_reached(SEEN, FAR), "ok", "mysql://ajrd@db.example.org/ajrd"),
        (database.judge_reached(replace(SEEN, seconds=2.0), FAR), "warn", "2.00 s"),
        (database.judge_version(SEEN, FAR), "ok", "MariaDB 10.11.14"),
        (database.judge_version(changed(version="10.3.2-MariaDB"), FAR), "fail", "10.5 or newer"),
        (database.judge_version(changed(version="8.0.36"), FAR), "ok", "MySQL 8.0.36"),
        (database.judge_version(changed(version="5.7.44"), FAR), "fail", "8.0 or newer"),
        (database.judge_version(changed(version="?"), FAR), "fail", "8.0 or newer"),
        (database.judge_tls("TLS_AES_256", FAR), "ok", "TLS_AES_256"),
        (database.judge_tls("", FAR), "warn", "not encrypted"),
        (database.judge_tls("", HERE), "ok", "on this host"),
        (database.judge_charset(SEEN, FAR), "ok", "utf8mb4"),
        (database.judge_charset(changed(charset="latin1"), FAR), "warn", "latin1"),
        (database.judge_clock(SEEN, FAR), "ok", "+0.0 s"),
        (database.judge_clock(replace(SEEN, skew=-61.0), FAR), "warn", "-61.0 s"),
        (database.judge_retention(SEEN, FAR), "ok", "no job"),
        (database.judge_retention(replace(SEEN, oldest=NOW - timedelta(days=410)), FAR), "ok",
         "410 days"),
        (database.judge_retention(replace(SEEN, oldest=NOW - timedelta(days=415)), FAR), "warn",
         "keep_days is 400"),
        (database.judge_room(a_room(100 << 30), FAR), "ok", "100.0 GiB"),
        (database.judge_room(a_room(1 << 30), FAR), "warn", "1.0 GiB"),
        (database.judge_room(a_room(1 << 20), FAR), "fail", "0.0 GiB"),
        (database.judge_file_system(a_room(0), Config()), "ok", "ext4"),
        (database.judge_file_system(a_room(0, "nfs4"), Config()), "warn", "nfs4: SQLite needs"),
        (database.judge_file_system(a_room(0, "nfs4"), FAR), "skip", "the server"),
    ],
)  # fmt: skip
def test_how_a_database_is_judged(found: Finding, level: str, words: str) -> None:
    assert (found.level.value, words in found.found) == (level, True), found
    assert bool(found.mend) is (level in ("warn", "fail"))


def test_tls_that_is_demanded_and_not_in_force_fails() -> None:
    section = DatabaseSection.model_validate({"url": FAR.database.url, "tls": {"ca": "/ca.pem"}})
    found = database.judge_tls("", Config(database=section))
    assert found.level is Level.FAIL


def test_rights_on_everything_are_named_and_hashes_of_passwords_are_not() -> None:
    grants = (
        "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*6BB4837EB74329105EE4568DDA7DC67'",
        "GRANT SUPER, FILE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*6BB4837EB74329105EE4'",
        "GRANT SELECT ON `ajrd`.* TO `a`@`%` WITH GRANT OPTION",
        "GRANT SELECT, INSERT ON `ajrd`.* TO `a`@`%`",
    )
    assert list(excessive(grants)) == ["SUPER, FILE ON *.*", "GRANT OPTION ON `ajrd`.*"]


async def test_a_database_that_was_set_up_is_well(
    address: Address, store: Store, examined: Examined
) -> None:
    await a_job(store)
    section = {"url": address.url, "password_file": address.password_file}
    found = await examined(*NAMES, database=section)
    assert not [name for name, each in found.items() if each.level is Level.FAIL], found
    assert found["tables"].found == f"revision {REVISION}"
    assert found["least-rights"].level in (Level.OK, Level.SKIP)


async def test_a_database_without_tables(mysql: Schema, examined: Examined) -> None:
    found = await examined("reach", "tables", database=mysql.section())
    assert found["reach"].level is Level.OK
    assert "it has no tables" in found["tables"].found
    assert "ajrd db upgrade" in found["tables"].mend


async def test_rights_that_are_too_few_or_too_many(mysql: Schema, examined: Examined) -> None:
    mysql.query(f"REVOKE INDEX ON {mysql.name}.* FROM {mysql.name}")
    mysql.query(f"GRANT PROCESS ON *.* TO {mysql.name}")
    found = await examined("tables", "least-rights", "charset", database=mysql.section())
    assert "lacks rights: GRANT INDEX" in found["tables"].found
    assert found["least-rights"].found.endswith("more than it needs: PROCESS ON *.*")
    mysql.query(f"ALTER DATABASE {mysql.name} CHARACTER SET latin1")
    found = await examined("charset", database=mysql.section())
    assert found["charset"].level is Level.WARN
    mysql.query(found["charset"].mend.split("'")[1])
    assert (await examined("charset", database=mysql.section()))["charset"].level is Level.OK


async def test_tls_is_in_force_where_it_is_demanded(mysql: Schema, examined: Examined) -> None:
    section = mysql.section()
    assert (await examined("tls", database=section))["tls"].found == "no TLS, on this host"
    ca = str(mysql.server.certificate)
    found = await examined("tls", database={**section, "tls": {"ca": ca}})
    assert found["tls"].found.startswith("TLS, TLS_")


async def test_a_wrong_password_fails_once_and_is_not_told(
    mysql: Schema, examined: Examined
) -> None:
    mysql.password_file.write_text("hunter2-wrong\n")
    found = await examined(*NAMES, database=mysql.section())
    assert [name for name, each in found.items() if each.level is Level.FAIL] == ["reach"]
    assert "Access denied" in found["reach"].found
    assert "hunter2" not in str(found)


async def test_a_database_that_is_not_there_yet(examined: Examined, config: Path) -> None:
    found = await examined(*NAMES)
    assert found["reach"].mend == f"ajrd db upgrade --config {config}"
    assert found["room"].level is not Level.SKIP
    gone = config.parent / "my folder" / "a.sqlite"
    found = await examined("room", database={"url": f"sqlite:///{gone}"})
    assert found["room"].mend == f"install -d -m 0750 '{gone.parent}'"
    assert not list(config.parent.glob("*.sqlite"))


async def test_a_file_that_is_no_database(examined: Examined, config: Path) -> None:
    (config.parent / "ajrd.sqlite").write_bytes(b"\x00\xff\x1b[2Jnot a database at all" * 100)
    found = await examined(*NAMES)
    assert "file is not a database" in found["reach"].found
