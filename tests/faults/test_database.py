"""The database away in the middle of a recovery: waited for, or done without, and all of it kept.

MariaDB is killed while the service is frozen at a moment, so that the next thing that happens there
meets an outage.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ajrd.daemon import FAULT_VARIABLE, STOP_VARIABLE
from ajrd.model import Step, Verb
from ajrd.recovery.sequence import STEPS
from tests.database.proxy import Proxy
from tests.database.server import Schema
from tests.faults.moments import OF_A_REQUEUE, RECORDS, around
from tests.faults.proof import (
    CRASH_LINES,
    assert_recovered,
    assert_stopped_for_good,
    breaks,
    crash_lines,
    history_when,
    second_attempt,
)
from tests.service import Service, until
from tests.slurm.jobs import HEALTHY, REQUEUE

Make = Callable[..., Service]

#: Seconds that a decision waits for the database: never mind, and soon over.
PATIENT, SOON = 600.0, 2.0
#: An outage at one of these leaves all that come later to be passed.
ONE_AFTER_THE_OTHER = [
    *around(*RECORDS, "renewing the lease", "writing a decision"),
    *around(*(f"claiming {step}" for step in STEPS[Verb.REQUEUE]), "closing decision"),
]
#: Where a decision is carried on in memory: not yet written, not yet begun, begun, held.
GOES_ON_ALONE = (
    "commit_before:writing a decision",
    "commit_after:claiming requeue_hold",
    "ran:requeue_hold",
)
OTHERS_OF_THAT = (
    "commit_before:recording attempt_started",
    "commit_before:recording evidence",
    "commit_after:writing a decision",
    "commit_before:claiming requeue_hold",
    "commit_after:finishing requeue_hold",
    "commit_after:finishing update",
    "ran:release",
    "commit_before:closing decision",
)


def outages(service: Service) -> int:
    """How often the service has said that its database does not answer."""
    return sum("the database" in str(line.get("why")) for line in service.events())


def await_outage(service: Service, before: int = 0) -> None:
    """Waits until the service has met one."""
    until("the outage to be noticed", lambda: outages(service) > before)


def stops_until_an_outage(service: Service) -> int:
    """Wakes it now, and at each moment that it comes to before it asks the database again."""
    before, stops = outages(service), 0

    def noticed() -> bool:
        nonlocal stops
        if service.stands_still:
            stops += 1
            service.wake()
        return outages(service) > before

    until("the outage to be noticed", noticed)
    return stops


@contextmanager
def away(mysql: Schema) -> Iterator[None]:
    """MariaDB is killed, and started again at the end."""
    mysql.server.kill()
    yield
    mysql.server.start()


def degraded(service: Service) -> bool:
    """Does the service say that it acts without the database?"""
    return bool(service.said("degraded") or service.said("decision", degraded=True))


def assert_done_without(service: Service, job_id: str) -> None:
    """The job was requeued while the database was away, and Slurm itself bears witness."""
    service.await_state(job_id, "RUNNING|None|1|")
    until("the service to say that it is degraded", lambda: degraded(service))
    said = service.slurm("squeue", "-h", "-j", job_id, "-O", "admin_comment:200")
    assert said.startswith("[ajrd a0 n1 hold<")


def test_the_database_is_killed_at_every_step_of_one_recovery(
    make_service: Make, mysql: Schema
) -> None:
    service = make_service(
        database=mysql.section(), store_grace=PATIENT, slurm={"timeout": 2}, lease=5
    )
    service.start(**{STOP_VARIABLE: ",".join(ONE_AFTER_THE_OTHER)})
    job_id = service.submit(breaks(), REQUEUE)
    left = len(ONE_AFTER_THE_OTHER)
    while left:
        service.await_stop()
        with away(mysql):
            left -= stops_until_an_outage(service)
    assert_recovered(service, job_id)
    assert not degraded(service)


@pytest.mark.full
@pytest.mark.parametrize("moment", OF_A_REQUEUE)
def test_the_database_is_killed_at_one_step(make_service: Make, mysql: Schema, moment: str) -> None:
    service = make_service(database=mysql.section(), store_grace=PATIENT)
    service.start(**{STOP_VARIABLE: moment})
    job_id = service.submit(breaks(), REQUEUE)
    service.await_stop()
    with away(mysql):
        service.wake()
        await_outage(service)
    assert_recovered(service, job_id)


@pytest.mark.parametrize(
    "moment",
    [*GOES_ON_ALONE, *(pytest.param(each, marks=pytest.mark.full) for each in OTHERS_OF_THAT)],
)
def test_a_job_is_recovered_without_the_database_and_counted_when_it_is_back(
    make_service: Make, mysql: Schema, moment: str
) -> None:
    service = make_service(database=mysql.section(), store_grace=SOON)
    again = service.folder / "again"
    service.start(**{STOP_VARIABLE: moment})
    job_id = service.submit(breaks(again), REQUEUE)
    service.await_stop()
    with away(mysql):
        service.wake()
        assert_done_without(service, job_id)
    assert_recovered(service, job_id, degraded=True)
    again.touch()
    assert_stopped_for_good(service, job_id)


def has_looked(service: Service) -> None:
    """It has read what the database knows; before that it would decide nothing without it."""
    job_id = service.submit(HEALTHY, REQUEUE)
    until("a first look", lambda: service.history(job_id))


def test_a_job_that_began_without_the_database_is_protected_and_kept(
    make_service: Make, mysql: Schema
) -> None:
    service = make_service(database=mysql.section(), store_grace=SOON)
    service.start()
    has_looked(service)
    with away(mysql):
        job_id = service.submit(breaks(), REQUEUE)
        assert_done_without(service, job_id)
    assert_recovered(service, job_id, degraded=True)


@pytest.mark.full
def test_a_requeue_that_a_kill_9_has_forgotten_still_counts(
    make_service: Make, mysql: Schema
) -> None:
    """It was done without the database, and never written there."""
    service = make_service(database=mysql.section(), store_grace=SOON)
    again = service.folder / "again"
    service.start(**{FAULT_VARIABLE: "commit_before:recording what was done to job"})
    has_looked(service)
    with away(mysql):
        job_id = service.submit(breaks(again), REQUEUE)
        assert_done_without(service, job_id)
    service.wait()
    service.start()
    until("its log to be followed", lambda: second_attempt(service, job_id, lambda it: it.sources))
    again.touch()
    assert_stopped_for_good(service, job_id)


def test_kill_9_in_an_outage_loses_no_line_and_doubles_none(
    make_service: Make, mysql: Schema
) -> None:
    """One line was kept before it, one was read and not kept, one comes when all is over."""
    service = make_service(database=mysql.section(), mode="observe")
    gates = [service.folder / name for name in ("second", "third")]
    script = "#!/bin/bash\n" + "".join(
        f"{wait}echo '{line}'\n"
        for wait, line in zip(
            ("", *(f"until [ -e {gate} ]; do sleep 0.1; done\n" for gate in gates)),
            CRASH_LINES,
            strict=True,
        )
    )
    service.start()
    job_id = service.submit(f"{script}sleep 300\n", REQUEUE)
    history_when(service, job_id, "the first line to be kept", 1)
    with away(mysql):
        gates[0].touch()
        until("the second line to be read", lambda: service.said("evidence_waits"))
        service.kill()
    service.start()
    gates[1].touch()

    def kept() -> list[str]:
        history = service.history(job_id)
        return crash_lines(history.attempts[0]) if history else []

    until("all lines to be kept", lambda: len(kept()) >= len(CRASH_LINES))
    assert kept() == CRASH_LINES


@pytest.mark.parametrize(
    "grace", [PATIENT, pytest.param(SOON, marks=pytest.mark.full)], ids=["waits", "goes on alone"]
)
def test_lost_packets(make_service: Make, mysql: Schema, grace: float) -> None:
    with Proxy(mysql.server.port) as proxy:
        section = mysql.section(proxy.port, timeout=1)
        service = make_service(database=section, store_grace=grace)
        service.start(**{STOP_VARIABLE: "commit_before:claiming requeue_hold"})
        job_id = service.submit(breaks(), REQUEUE)
        service.await_stop()
        proxy.stall()
        service.wake()
        await_outage(service)
        if grace == SOON:
            assert_done_without(service, job_id)
        proxy.resume()
        assert_recovered(service, job_id, degraded=grace == SOON)
        service.kill()


def test_a_database_that_is_read_only_for_a_while(make_service: Make, mysql: Schema) -> None:
    service = make_service(database=mysql.section(), store_grace=PATIENT)
    service.start(**{STOP_VARIABLE: "commit_after:recording evidence"})
    job_id = service.submit(breaks(), REQUEUE)
    service.await_stop()
    mysql.query("SET GLOBAL read_only = 1")
    try:
        service.wake()
        until("it to say so", lambda: "--read-only" in service.log.read_text())
    finally:
        mysql.query("SET GLOBAL read_only = 0")
    assert_recovered(service, job_id)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system; an empty database has room in it several times."""
    folder = tmp_path / "disk"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs to mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_for_a_while(make_service: Make, small_disk: Path) -> None:
    section = {"url": f"sqlite:///{small_disk}/ajrd.sqlite"}
    service = make_service(database=section, store_grace=PATIENT)
    service.start(**{STOP_VARIABLE: "commit_after:recording evidence"})
    job_id = service.submit(breaks(), REQUEUE)
    service.await_stop()
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    service.wake()
    until("it to say so", lambda: "database or disk is full" in service.log.read_text())
    ballast.unlink()
    assert_recovered(service, job_id)


def test_a_file_system_that_is_read_only_is_told_at_the_start(
    make_service: Make, small_disk: Path
) -> None:
    """After kill -9 with a job held; it goes on when the administrator has repaired that."""
    service = make_service(database={"url": f"sqlite:///{small_disk}/ajrd.sqlite"})
    service.start(**{FAULT_VARIABLE: f"ran:{Step.REQUEUE_HOLD}"})
    job_id = service.submit(breaks(), REQUEUE)
    service.wait()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = service.ajrd("run")
    assert (done.returncode, "Read-only file system" in done.stderr) == (3, True), done.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    service.start()
    assert_recovered(service, job_id)
