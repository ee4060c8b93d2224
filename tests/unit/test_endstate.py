"""Slurm's own end states as anomalies."""

from __future__ import annotations

from typing import Any

import pytest

from ajrd.detect.classify import classify
from ajrd.detect.endstate import from_end_state
from ajrd.model import Anomaly, JobState, Recovery, Role

from .samples import anomaly, at, job

STOP, REQUEUE, EXCLUDE = Recovery.STOP, Recovery.REQUEUE, Recovery.REQUEUE_EXCLUDE


@pytest.mark.parametrize(
    ("fields", "cause", "recovery"),
    [
        ({"state": JobState.NODE_FAIL}, "node_fail", EXCLUDE),
        ({"state": JobState.BOOT_FAIL}, "node_fail", EXCLUDE),
        ({"state": JobState.OUT_OF_MEMORY, "signal": 9}, "oom_host", STOP),
        ({"state": JobState.TIMEOUT}, "slurm_timelimit", REQUEUE),
        ({"state": JobState.DEADLINE}, "slurm_timelimit", STOP),
        ({"state": JobState.FAILED, "signal": 11}, "segfault", REQUEUE),
        ({"state": JobState.FAILED, "exit_code": 139}, "segfault", REQUEUE),
        ({"state": JobState.FAILED, "exit_code": 134}, "abort", REQUEUE),
        ({"state": JobState.FAILED, "exit_code": 135}, "sigbus", REQUEUE),
        ({"state": JobState.FAILED, "exit_code": 132}, "illegal_instruction", STOP),
        ({"state": JobState.FAILED, "exit_code": 137}, "oom_host", STOP),
        ({"state": JobState.FAILED, "exit_code": 1}, "app_error", STOP),
        ({"state": JobState.FAILED, "exit_code": 255}, "app_error", STOP),
    ],
)
def test_an_end_state_means_a_cause(fields: dict[str, Any], cause: str, recovery: Recovery) -> None:
    finding = from_end_state(job(**fields))
    assert finding is not None
    assert (finding.cause, finding.recovery) == (cause, recovery)


@pytest.mark.parametrize(
    "state",
    [
        JobState.COMPLETED,
        JobState.CANCELLED,
        JobState.PREEMPTED,
        JobState.RUNNING,
        JobState.PENDING,
        JobState.SUSPENDED,
    ],
)
def test_nothing_broke_in_a_job_that_ended_well_or_by_somebodys_will(state: JobState) -> None:
    assert from_end_state(job(state=state)) is None


def test_the_log_knows_better_than_a_bare_exit_code() -> None:
    end = from_end_state(job(state=JobState.FAILED, exit_code=1))
    assert end is not None
    said = anomaly(cause="nccl_timeout", role=Role.CASCADE)
    assert classify([Anomaly(end, "slurm", at(0)), said]).cause == "nccl_timeout"


def test_the_failed_node_is_named_only_if_there_is_but_one() -> None:
    one = from_end_state(job(state=JobState.NODE_FAIL, nodes="n7"))
    many = from_end_state(job(state=JobState.NODE_FAIL, nodes="n[7-8]"))
    assert one is not None
    assert many is not None
    assert (one.facts.get("node"), many.facts.get("node")) == ("n7", None)
