"""The service on a real Slurm, with the logs in Loki."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from ajrd.model import Verb
from ajrd.store.history import JobHistory
from tests.loki.double import Double
from tests.loki.shipping import FileShipper, Shipper
from tests.loki.test_watch import CRASHES, burst
from tests.loki.world import CRASH
from tests.service import Service, until
from tests.slurm.jobs import HEALTHY, REQUEUE, scaled
from tests.slurm.test_recovery import stopped

Make = Callable[..., Service]


def configured(service: Service, double: Double, *, files: bool, **more: Any) -> Service:
    """Gives the service a Loki."""
    values = yaml.safe_load(service.config.read_text())
    values["loki"] = {"url": double.url, "interval": 1, "lag": 1, **more}
    values["logs"] = {"files": files}
    service.config.write_text(yaml.safe_dump(values))
    return service


@pytest.fixture
def shipped(make_service: Make, double: Double) -> Iterator[Service]:
    """A service in whose folder an agent ships all logs; not started."""
    service = make_service()
    with FileShipper(Shipper(double.url), service.folder):
        yield service


def test_the_verification_job_recovers_with_loki_as_its_only_source(
    shipped: Service, double: Double
) -> None:
    configured(shipped, double, files=False).start()
    job_id = shipped.submit(scaled())
    history = until("the second attempt to be stopped", lambda: stopped(shipped, job_id), 120)
    decisions = [attempt.decision for attempt in history.attempts]
    assert [decision.verb for decision in decisions if decision] == [Verb.REQUEUE, Verb.STOP]
    for attempt in history.attempts:
        cause = attempt.deciding()
        assert cause is not None
        assert cause.anomaly.by_loki
        assert cause.anomaly.finding.text.startswith("Rank0: (1) segmentation fault")
    assert f"evidence  loki:{shipped.folder}/job.sh_{job_id}_date_" in shipped.status(job_id)


def test_a_line_of_a_file_that_is_in_loki_too_is_one_anomaly(
    shipped: Service, double: Double
) -> None:
    configured(shipped, double, files=True).start()
    job_id = shipped.submit(scaled())
    history = until("the second attempt to be stopped", lambda: stopped(shipped, job_id), 120)

    def twins() -> JobHistory | None:
        seen = shipped.history(job_id)
        found = [a.anomaly for attempt in seen.attempts for a in attempt.anomalies] if seen else []
        segfaults = [a for a in found if a.finding.cause == "segfault"]
        return seen if [bool(a.twin) for a in segfaults] == [True, True] else None

    assert len(history.attempts) == 2
    until("both lines to have come both ways, and to be two", twins)


def test_a_burst_across_kill_9_of_the_service_is_kept_once(
    make_service: Make, double: Double
) -> None:
    double.rate = 1 << 30
    service = configured(make_service(mode="observe"), double, files=False)
    service.start()
    job_id = service.submit(HEALTHY, REQUEUE)
    service.await_state(job_id, "RUNNING")
    labels, values = {"job": "slurm", "job_id": job_id}, burst(time.time_ns())
    ship = Shipper(double.url).push

    def found() -> list[str]:
        history = service.history(job_id)
        anomalies = history.attempts[0].anomalies if history and history.attempts else []
        return [record.anomaly.finding.text for record in anomalies]

    until("the attempt", lambda: service.history(job_id))
    ship(labels, values[: len(values) // 2], at_once=20_000)
    until("a line", found)
    service.kill()
    ship(labels, values[len(values) // 2 :], at_once=20_000)
    service.start()
    until("all lines", lambda: len(found()) >= CRASHES)
    until("a tail", double.tails)
    service.stop()
    assert sorted(found()) == sorted(CRASH.format(number) for number in range(CRASHES))
