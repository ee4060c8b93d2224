"""A service that runs, one that is late, and none."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd.config import Config
from ajrd.doctor import service as doctor
from ajrd.doctor import web
from ajrd.doctor.check import Finding, Group, Level
from ajrd.doctor.service import Books, Dog, Holds, Troubles, watchdogs
from ajrd.doctor.table import CHECKS
from ajrd.doctor.web import Answered, Me
from ajrd.slurm.admin_comment import Mark
from ajrd.store.records import LeaseRecord
from ajrd.store.store import Store
from labcluster.ports import free_block
from tests.database.samples import a_decision, a_job
from tests.doctor.conftest import Examined
from tests.service import Service
from tests.slurm.jobs import HEALTHY

Make = Callable[..., Service]
NAMES = [check.name for check in CHECKS if check.group in (Group.SERVICE, Group.WEB)]
NOW = datetime.now(UTC)
LEASE = LeaseRecord(
    name="leader", holder="a", host="head1", pid=42, epoch=3,
    acquired_at=NOW, renewed_at=NOW, expires_at=NOW + timedelta(seconds=20),
)  # fmt: skip
BOOKS = Books(NOW, LEASE, 0, 0, 0)


def renewed(seconds_ago: float) -> Books:
    renewed_at = NOW - timedelta(seconds=seconds_ago)
    return replace(BOOKS, lease=replace(LEASE, renewed_at=renewed_at))


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (doctor.judge_leader(BOOKS, Config()), "ok", "head1 pid 42, epoch 3"),
        (doctor.judge_leader(replace(BOOKS, now=NOW + timedelta(hours=1)), Config()), "fail",
         "the last was head1"),
        (doctor.judge_leader(replace(BOOKS, lease=None), Config()), "fail", "nobody has ever led"),
        (doctor.judge_heartbeat(renewed(3.0), Config()), "ok", "3.0 s ago"),
        (doctor.judge_heartbeat(renewed(15.0), Config()), "warn", "late"),
        (doctor.judge_heartbeat(replace(BOOKS, lease=None), Config()), "skip", "nobody leads"),
        (doctor.judge_decisions(BOOKS, Config()), "ok", "0 open"),
        (doctor.judge_decisions(replace(BOOKS, open=3, late=1), Config()), "fail", "1 of 3 open"),
        (doctor.judge_degraded(replace(BOOKS, degraded=2), Config()), "warn", "2 of the last"),
        (doctor.judge_holds(Holds(2, ()), Config()), "ok", "2 jobs held"),
        (doctor.judge_holds(Holds(2, ("7", "8_1")), Config()), "fail", "deadline: 7, 8_1"),
        (doctor.judge_dog(Dog((17,), ""), Config()), "ok", "process 17"),
        (doctor.judge_dog(Dog((), "active"), Config()), "ok", "unit is active"),
        (doctor.judge_dog(Dog((), "inactive"), Config()), "warn", "(its unit: inactive)"),
        (doctor.judge_troubles(Troubles("x", Counter()), Config()), "ok", "none"),
        (doctor.judge_troubles(Troubles("x", Counter({"loki": 3})), Config()), "warn",
         "loki 3 times"),
        (web.judge_socket(Answered(200, b'{"alive": true}'), Config()), "ok", "answers on"),
        (web.judge_socket(Answered(200, b"\xff["), Config()), "fail", "as no ajrd does"),
        (web.judge_me(Me("ada", 200, operator=False), Config()), "warn", "ada is no operator"),
        (web.judge_me(Me("ada", 403, operator=False), Config()), "fail", "HTTP 403"),
        (web.judge_ready(Answered(503, b'{"reasons": ["no Slurm"]}'), Config()), "fail",
         "not ready: no Slurm"),
        (web.judge_ready(Answered(502, b"<html>"), Config()), "fail", "HTTP 502"),
        (web.judge_port(Answered(401, b""), Config()), "ok", "answers on"),
        (web.judge_port(Answered(404, b"nginx"), Config()), "fail", "as no ajrd does"),
        (web.judge_munge(0, Config()), "ok", "makes"),
        (web.judge_munge(1, Config()), "warn", "no credential"),
    ],
)  # fmt: skip
def test_how_a_service_is_judged(found: Finding, level: str, words: str) -> None:
    assert (found.level.value, words in found.found) == (level, True), found
    assert bool(found.mend) is (level in ("warn", "fail"))


def test_a_watchdog_is_known_by_its_command_line(tmp_path: Path) -> None:
    lines = {
        "10": b"/usr/bin/python3\0/usr/bin/ajrd\0watchdog\0--once\0",
        "11": b"python3\0-m\0ajrd\0watchdog\0",
        "12": b"vim\0ajrd watchdog\0",
        "13": b"/usr/bin/ajrd\0run\0",
        "14": b"\xff\xfe",
        "self": b"ajrd\0watchdog\0",
    }
    for name, line in lines.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "cmdline").write_bytes(line)
    (tmp_path / "15").mkdir()
    assert sorted(watchdogs(tmp_path)) == [10, 11]


async def test_decisions_that_wait_for_too_long_are_counted(
    store: Store, address: Any, examined: Examined
) -> None:
    section = {"url": address.url, "password_file": address.password_file}
    record, attempt = await a_job(store)
    now = datetime.now(UTC)
    fresh = replace(a_decision(attempt), created_at=now, hold_deadline=now + timedelta(minutes=2))
    await store.write_decision(fresh, record, attempt, ())
    found = await examined("decisions", "degraded", "leader", database=section)
    assert found["decisions"].found == "1 open, none past its deadline"
    assert found["degraded"].level is Level.OK
    assert found["leader"].level is Level.FAIL
    record, attempt = await a_job(store, "8")
    late = replace(fresh, attempt=attempt.id, hold_deadline=now - timedelta(minutes=2))
    await store.write_decision(late, record, attempt, ())
    record, attempt = await a_job(store, "9")
    old = replace(fresh, attempt=attempt.id, created_at=now - timedelta(days=1), hold_deadline=None)
    await store.write_decision(old, record, attempt, ())
    found = await examined("decisions", database=section)
    assert found["decisions"].found == "2 of 3 open decisions are past their deadline"
    await store.acquire_lease("a", "head1", 42, 600.0)
    found = await examined("leader", "heartbeat", database=section)
    assert [each.level for each in found.values()] == [Level.OK, Level.OK]


def doctor_of(service: Service, *options: str) -> tuple[int, dict[str, Any]]:
    """What the command says of a service, by the name of the check."""
    done = service.ajrd("doctor", "--config", str(service.config), "--json", *options)
    assert not done.stderr or options, done.stderr
    told = json.loads(done.stdout)
    return done.returncode, {each["name"]: each for each in told["checks"]}


def test_a_service_that_runs_is_well_and_what_it_lacks_is_named(
    make_service: Make, tmp_path: Path
) -> None:
    path, port = tmp_path / "ajrd.sock", free_block(1)
    service = make_service(web={"socket": str(path), "listen": f"127.0.0.1:{port}"})
    service.config.chmod(0o640)
    service.start()
    watch = [sys.executable, "-m", "ajrd", "watchdog", "--slurm-conf", str(service.cluster.conf)]
    with subprocess.Popen(watch, stderr=subprocess.PIPE, env=service.cluster.env) as dog:
        assert dog.stderr is not None
        dog.stderr.readline()
        code, found = doctor_of(service)
        dog.kill()
    assert code == 0, found
    assert str(dog.pid) in found["watchdog"]["found"]
    for name in ("socket", "me", "readyz", "port", "leader", "heartbeat", "holds", "watchdog"):
        assert found[name]["level"] == "ok", found[name]
    assert service.process is not None
    assert f"pid {service.process.pid}" in found["leader"]["found"]
    assert f"process {service.process.pid}" in found["rights"]["found"]
    assert found["open-files"]["found"].startswith("the service may")

    service.kill()
    code, found = doctor_of(service)
    assert code == 1
    assert found["socket"]["level"] == "fail"
    assert "nobody answers on" in found["socket"]["found"]
    assert found["readyz"]["level"] == "skip"
    assert found["port"]["level"] == "fail"


async def test_a_job_that_stays_held_is_named_and_its_command_releases_it(
    make_service: Make, examined: Examined
) -> None:
    service = make_service()

    async def holds() -> Finding:
        return (await examined("holds", slurm={"conf": str(service.cluster.conf)}))["holds"]

    job_id = service.submit(HEALTHY)
    service.await_state(job_id, "RUNNING")
    late = datetime.now(UTC) - timedelta(minutes=5)
    mark = Mark(0, late, "CRASH segfault: requeue 1 of 1")
    service.slurm("scontrol", "update", f"JobId={job_id}", f"AdminComment={mark}")
    service.slurm("scontrol", "requeuehold", job_id)
    service.await_state(job_id, "PENDING|job requeued in held state|1|")
    async with asyncio.timeout(60):
        while (found := await holds()).level is Level.OK:
            await asyncio.sleep(0.05)
    assert found.found == f"held past their deadline: {job_id}"
    assert found.mend == f"ajrd watchdog --once --slurm-conf {service.cluster.conf}"
    service.ajrd(*found.mend.split()[1:])
    assert (await holds()).level is Level.OK


async def test_errors_of_the_last_hour_are_counted_in_a_log(
    examined: Examined, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    lines = [
        {"event": "loki", "level": "error", "timestamp": now.isoformat()},
        {"event": "loki", "level": "error", "timestamp": (now - timedelta(hours=2)).isoformat()},
        {"event": "started", "level": "info", "timestamp": now.isoformat()},
        {"event": "odd", "level": "error", "timestamp": "yesterday"},
    ]
    log = tmp_path / "ajrd.log"
    log.write_text("no json\n[1]\n" + "".join(f"{json.dumps(line)}\n" for line in lines))
    found = await examined("errors", log=log)
    assert found["errors"].found.endswith(f"by {log}: loki 1 times")
    found = await examined("errors", log=tmp_path)
    assert found["errors"].level is Level.SKIP


@contextmanager
def a_peer(listener: socket.socket, says: bytes) -> Iterator[None]:
    """Takes connections and answers this, or nothing at all, for ever."""
    kept = []

    def serve() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                kept.append(connection)
                connection.sendall(says)
        except OSError:
            return

    listener.listen()
    threading.Thread(target=serve, daemon=True).start()
    yield
    listener.shutdown(socket.SHUT_RDWR)
    for each in [listener, *kept]:
        each.close()


async def test_a_socket_of_something_else_is_told_from_one_of_ajrd(
    examined: Examined, tmp_path: Path
) -> None:
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    with a_peer(listener, b"220 \x1b[2J smtp ready\r\n"):
        found = await examined("socket", "me", web={"socket": path})
    assert [each.level for each in found.values()] == [Level.FAIL, Level.SKIP]
    Path(path).unlink()
    Path(path).write_text("x")
    found = await examined("socket", web={"socket": path})
    assert found["socket"].found == f"{path} is no socket"


def test_everything_that_can_hang_hangs_and_every_check_ends(tmp_path: Path) -> None:
    """Silent servers for all, commands that sleep: the command comes back with its findings."""
    silent = [socket.socket() for _ in range(5)]
    for each in silent:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in silent]
    on_host = socket.socket(socket.AF_UNIX)
    on_host.bind(str(tmp_path / "sock"))
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("scontrol", "squeue", "scancel", "sacct", "sacctmgr", "munge", "systemctl"):
        (commands / name).write_text("#!/bin/sh\nexec sleep 1000\n")
        (commands / name).chmod(0o755)
    config = tmp_path / "config.yaml"
    values = {
        "slurm": {"bin_dir": str(commands), "timeout": 60},
        "database": {"url": f"mysql://a@127.0.0.1:{ports[0]}/a", "timeout": 60},
        "loki": {"url": f"http://127.0.0.1:{ports[1]}", "timeout": 60},
        "web": {"socket": str(tmp_path / "sock"), "listen": f"127.0.0.1:{ports[2]}"},
        "recovery": {"lease": 100},
        "hardware": {
            "drain": {"enabled": True},
            "api": {"url": f"http://127.0.0.1:{ports[3]}/", "timeout": 60},
        },
        "notify": {
            "webhooks": [{"name": "a", "url": f"https://127.0.0.1:{ports[4]}/", "timeout": 60}]
        },
    }
    config.write_text(json.dumps(values))
    argv = [sys.executable, "-m", "ajrd", "doctor", "--json", "--config", str(config)]
    with ExitStack() as servers:
        for listener in (*silent, on_host):
            servers.enter_context(a_peer(listener, b""))
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60,
            env={"PATH": f"{commands}:/usr/bin:/bin"},
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["checks"]}
    for name in (
        "controller", "reach", "ready", "socket", "port", "webhook-host", "hardware-api",
    ):  # fmt: skip
        assert found[name]["level"] == "fail", found[name]
    waiting = (
        "tables",
        "lines",
        "me",
        "leader",
        "webhook-queue",
        "hardware-reports",
        "drain-budget",
    )
    assert {found[name]["level"] for name in waiting} == {"skip"}
    assert {check.name for check in CHECKS} == set(found)
