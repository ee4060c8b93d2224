"""Somebody sets the clock by an hour: the head node's, or that of the whole cluster.

libfaketime changes what a process takes for the time of day; what counts the seconds since the
start of the host is left alone, as by settimeofday(2). Times of files stay true.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from ajrd.daemon import FAULT_VARIABLE, STOP_VARIABLE
from ajrd.store.records import SourceRecord
from labcluster.cluster import Lab
from tests.faults.labs import Manners, own_lab
from tests.faults.test_slurmctld import crash, in_full, recovered_once, started_twice, submitted
from tests.service import Service, until

Make = Callable[..., Service]

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HOUR = ("+1h", "-1h")


class WallClock:
    """The time of day of one process, which can be set while it runs.

    Not that of Slurm's commands: scontrol takes a StartTime that is over by its own clock for now.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.variables = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        self.set("+0")

    def set(self, offset: str) -> None:
        """An offset from the true time."""
        new = self._file.with_suffix(".new")
        new.write_text(offset)
        new.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    """That of ajrd alone; without a remedy that ends each wait of one thread for another at once.

    Python's waits do not need it; those of Slurm's daemons are left with it.
    """
    clock = WallClock(tmp_path)
    clock.variables["FAKETIME_FORCE_MONOTONIC_FIX"] = "0"
    return clock


@pytest.fixture
def service(make_service: Make, tmp_path: Path) -> Service:
    """Not started; its commands know the true time."""
    manners = Manners(tmp_path)
    manners.be("unset LD_PRELOAD")
    return make_service(slurm={"bin_dir": str(manners.bin_dir)})


def leads_on(service: Service) -> None:
    """It took the lease once and has kept it."""
    said = [event["event"] for event in service.events()]
    assert said.count("leading") == said.count("started") == 1
    assert "replaced" not in said


@pytest.mark.parametrize("offset", HOUR)
def test_the_clock_is_set_before_a_crash(service: Service, clock: WallClock, offset: str) -> None:
    service.start(**clock.variables)
    clock.set(offset)
    job_id = submitted(service)
    crash(service)
    recovered_once(service, job_id)
    leads_on(service)


@pytest.mark.parametrize("offset", HOUR)
@pytest.mark.parametrize(
    "checkpoint",
    [in_full("commit_after:writing a decision"), "commit_after:finishing requeue_hold"],
)
def test_the_clock_is_set_during_a_recovery(
    service: Service, clock: WallClock, offset: str, checkpoint: str
) -> None:
    service.start(**clock.variables, **{STOP_VARIABLE: checkpoint})
    job_id = submitted(service)
    crash(service)
    service.await_stop()
    clock.set(offset)
    service.wake()
    recovered_once(service, job_id)
    started_twice(service)
    leads_on(service)


@pytest.mark.parametrize(
    ("checkpoint", "before", "after"),
    [
        ("commit_before:writing a decision", "+1h", "+0"),
        in_full("commit_before:writing a decision", "+0", "+1h"),
        in_full("commit_after:finishing requeue_hold", "+1h", "+0"),
        ("commit_after:finishing requeue_hold", "+0", "+1h"),
    ],
)
def test_the_clock_was_set_while_ajrd_was_dead(
    service: Service, clock: WallClock, checkpoint: str, before: str, after: str
) -> None:
    """What is stored then lies in the future, or its deadlines are long over."""
    clock.set(before)
    service.start(**clock.variables, **{FAULT_VARIABLE: checkpoint})
    job_id = submitted(service)
    crash(service)
    assert service.wait() == -signal.SIGKILL
    clock.set(after)
    service.start(**clock.variables)
    recovered_once(service, job_id)
    started_twice(service)


def sources(service: Service, job_id: str) -> list[SourceRecord]:
    """What is read of the job's first attempt."""
    history = service.history(job_id)
    return history.attempts[0].sources if history else []


@pytest.mark.parametrize("cluster_clock", HOUR, indirect=True)
def test_the_clock_of_the_whole_cluster_is_another(
    make_service: Make, tmp_path: Path, cluster_clock: WallClock
) -> None:
    """Daemons and Slurm's commands are an hour off, ajrd and the times of files are not.

    A file that was written by such a clock before it was first looked at would be taken for older
    than the attempt.
    """
    manners = Manners(tmp_path)
    given = (f"{name}={value}" for name, value in cluster_clock.variables.items())
    manners.be(f"export {' '.join(given)}")
    service = make_service(slurm={"bin_dir": str(manners.bin_dir)})
    service.start()
    job_id = submitted(service)
    until("its log to be followed", lambda: sources(service, job_id))
    crash(service)
    recovered_once(service, job_id)
    started_twice(service)


@pytest.fixture(scope="module")
def cluster_clock(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> WallClock:
    """The clock of the lab, set once."""
    clock = WallClock(tmp_path_factory.mktemp("clock"))
    clock.set(getattr(request, "param", "+0"))
    return clock


@pytest.fixture(scope="module")
def lab(cluster_clock: WallClock) -> Iterator[Lab]:
    """A lab whose daemons live by that clock."""
    with ExitStack() as stack:
        with patch.dict(os.environ, cluster_clock.variables):
            lab = stack.enter_context(own_lab(2))
        yield lab
