"""ajrd dies with a job held, and does not come back: the watchdog lets the job go, and no other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from ajrd.daemon import FAULT_VARIABLE
from ajrd.slurm.admin_comment import Mark
from labdemo.service import PATIENCE
from tests.service import Service
from tests.slurm.jobs import CRASHING, HEALTHY, REQUEUE

Make = Callable[..., Service]

REQUEUE_HELD = "PENDING|job requeued in held state|1|"


def watchdog(service: Service, *options: str) -> list[str]:
    argv = [sys.executable, "-m", "ajrd", "watchdog", "--slurm-conf", str(service.cluster.conf)]
    return [*argv, "--grace", "0", *options]


def look_once(service: Service, *options: str) -> list[tuple[str, str]]:
    """What the watchdog did in one look: (event, job)."""
    done = subprocess.run(
        watchdog(service, "--once", *options), capture_output=True, text=True, timeout=PATIENCE,
        env=service.cluster.env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stderr.splitlines()]
    return [(line["event"], line["job"]) for line in said]


@contextmanager
def watching(service: Service) -> Iterator[None]:
    """A watchdog at work, stopped as systemd would."""
    argv = watchdog(service, "--interval", "0.2")
    with subprocess.Popen(argv, stderr=subprocess.PIPE, env=service.cluster.env) as process:
        try:
            assert process.stderr is not None
            assert b'"started"' in process.stderr.readline()
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def held_with_mark(service: Service, attempt: int, deadline: datetime) -> str:
    """A job as ajrd leaves it after its hold."""
    job_id = service.submit(HEALTHY)
    service.await_state(job_id, "RUNNING")
    mark = Mark(attempt, deadline, "CRASH segfault: requeue 1 of 1")
    service.slurm("scontrol", "update", f"JobId={job_id}", f"AdminComment={mark}")
    service.slurm("scontrol", "requeuehold", job_id)
    service.await_state(job_id, REQUEUE_HELD)
    return job_id


def test_a_job_held_by_an_ajrd_that_was_killed_is_released_and_runs(make_service: Make) -> None:
    """It runs long before the two minutes of a requeue are over."""
    service = make_service(hold_limit=3)
    service.start(**{FAULT_VARIABLE: "commit_after:finishing requeue_hold"})
    job_id = service.submit(CRASHING, REQUEUE)
    assert service.wait() == -signal.SIGKILL
    service.await_state(job_id, REQUEUE_HELD)
    with watching(service):
        service.await_state(job_id, "RUNNING|None|1|")


def test_only_holds_of_ajrd_are_released_and_only_after_their_deadline(make_service: Make) -> None:
    service = make_service()
    past, ahead = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))
    submitted_held = service.submit(HEALTHY, "--hold")
    held_by_root = service.submit(HEALTHY, "--begin=now+1hour")
    service.slurm("scontrol", "hold", held_by_root)
    unmarked = service.submit(HEALTHY)
    service.await_state(unmarked, "RUNNING")
    service.slurm("scontrol", "requeuehold", unmarked)
    of_another_attempt = held_with_mark(service, 1, past)
    not_yet = held_with_mark(service, 0, ahead)
    others = (submitted_held, held_by_root, unmarked, of_another_attempt, not_yet)
    service.await_state(unmarked, REQUEUE_HELD)
    before = [service.state(job_id) for job_id in others]
    due = held_with_mark(service, 0, past)
    assert look_once(service, "--dry-run") == [("would_release", due)]
    assert service.state(due) == REQUEUE_HELD
    assert look_once(service) == [("released", due)]
    service.await_state(due, "RUNNING|None|1|")
    assert [service.state(job_id) for job_id in others] == before
    assert before[:2] == ["PENDING|JobHeldUser|0|", "PENDING|JobHeldAdmin|0|"]
