"""A real job crashes and comes back: what its time was spent on stands in the table."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ajrd.daemon import FAULT_VARIABLE
from tests.service import Service, until
from tests.slurm.jobs import CRASH_LINE, REQUEUE

#: Ten steps a second: the first attempt crashes after step 60, the second goes on with step 31.
TRAINING = f"""#!/bin/bash
#SBATCH --open-mode=append
first=$((SLURM_RESTART_COUNT ? 31 : 1))
for step in $(seq $first 60); do
  echo "iteration $step/60 loss: 0.5"
  sleep 0.1
done
if [ -z "$SLURM_RESTART_COUNT" ]; then echo '{CRASH_LINE}'; sleep 300; fi
"""


def both(service: Service, job_id: str) -> list[dict[str, Any]] | None:
    """The records of two attempts."""
    done = service.ajrd("efficiency", job_id, "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return found if len(found) == 2 else None


def reckoned(service: Service, job_id: str) -> list[dict[str, Any]] | None:
    """The same, once it is known when the second one made progress."""
    found = both(service, job_id)
    return found if found and found[0]["restart_seconds"] is not None else None


@pytest.mark.full
def test_a_recovered_job_is_reckoned(service: Service) -> None:
    job_id = service.submit(TRAINING, REQUEUE)
    first, second = until("both attempts to be reckoned", lambda: reckoned(service, job_id), 150)
    assert (first["state"], second["state"]) == ("REQUEUED", "COMPLETED")
    assert (first["cause"], first["recovered"]) == ("segfault", True)
    assert 2 < first["lost_seconds"] < first["productive_seconds"]
    assert first["automatic_downtime_seconds"] > first["detection_seconds"] > 0
    assert first["manual_downtime_seconds"] == 0
    assert second["lost_seconds"] == 0
    assert 1700 < first["saved_seconds"] < 1800


@pytest.mark.full
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_service_that_is_killed_while_it_reckons_loses_no_record(
    make_service: Callable[..., Service], moment: str
) -> None:
    service = make_service()
    service.start(**{FAULT_VARIABLE: f"commit_{moment}:recording efficiency"})
    job_id = service.submit(TRAINING, REQUEUE)
    assert service.wait() == -signal.SIGKILL
    service.start()
    first, _second = until("both attempts to have a record", lambda: both(service, job_id), 150)
    assert (first["state"], first["recovered"]) == ("REQUEUED", True)
