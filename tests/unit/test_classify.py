"""One verdict from all evidence: the root before the cascade before the teardown."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.detect.classify import classify
from ajrd.model import Anomaly, Kind, Recovery, Role

from .samples import anomaly

ROOT, CASCADE, TEARDOWN = Role.ROOT, Role.CASCADE, Role.TEARDOWN
EXCLUDE, STOP, REQUEUE, NONE = (
    Recovery.REQUEUE_EXCLUDE,
    Recovery.STOP,
    Recovery.REQUEUE,
    Recovery.NONE,
)


def seen(
    seconds: float, cause: str, role: Role, recovery: Recovery, offset: int = 0, **more: Any
) -> Anomaly:
    return anomaly(seconds, cause=cause, role=role, recovery=recovery, offset=offset, **more)


SEGFAULT = seen(5, "segfault", ROOT, REQUEUE)
NCCL = seen(1, "nccl_timeout", CASCADE, REQUEUE)
PYTHON = seen(2, "python_exception", TEARDOWN, STOP)
CANCELLED = seen(0, "slurm_cancelled_by_user", TEARDOWN, STOP)
TERMINATED = seen(0, "teardown", TEARDOWN, NONE)
EXIT_CODE = seen(0, "app_error", TEARDOWN, STOP, kind=Kind.USER)
SUMMARY = seen(1, "app_error", CASCADE, STOP)
TIME_LIMIT = seen(9, "slurm_timelimit", ROOT, REQUEUE)
LOST_GPU = seen(60, "gpu_lost", ROOT, EXCLUDE, facts={"node": "n3"})


def test_no_evidence_means_that_nothing_is_wrong() -> None:
    verdict = classify([])
    assert (verdict.kind, verdict.cause, verdict.recovery) == (None, None, NONE)


def test_words_that_mean_nothing_give_no_verdict() -> None:
    assert classify([TERMINATED, seen(0, "segfault", Role.BENIGN, REQUEUE)]).cause is None


@pytest.mark.parametrize(
    ("evidence", "cause"),
    [
        ([NCCL, SEGFAULT, CANCELLED], "segfault"),
        ([PYTHON, SEGFAULT], "segfault"),
        ([SEGFAULT, LOST_GPU], "gpu_lost"),
        ([SEGFAULT, TIME_LIMIT], "slurm_timelimit"),
        ([NCCL, PYTHON], "nccl_timeout"),
        ([seen(3, "nccl_timeout", CASCADE, REQUEUE), PYTHON], "python_exception"),
        ([SUMMARY, PYTHON], "python_exception"),
        ([PYTHON, seen(2, "network_external", TEARDOWN, REQUEUE)], "network_external"),
        ([PYTHON, seen(3, "network_external", TEARDOWN, REQUEUE)], "python_exception"),
        ([seen(1, "mpi_abort", CASCADE, STOP), PYTHON], "python_exception"),
        ([EXIT_CODE, seen(0, "hang", TEARDOWN, REQUEUE)], "hang"),
        ([seen(0, "abort", CASCADE, REQUEUE), NCCL], "nccl_timeout"),
        ([CANCELLED, SUMMARY], "app_error"),
        ([CANCELLED, TERMINATED], "slurm_cancelled_by_user"),
        ([seen(1, "oom_host", TEARDOWN, STOP), seen(2, "oom_host", ROOT, STOP)], "oom_host"),
        ([seen(1, "xid", ROOT, STOP), seen(0, "nccl_error", CASCADE, REQUEUE)], "xid"),
        ([seen(2, "xid", ROOT, STOP), seen(1, "segfault", ROOT, REQUEUE)], "segfault"),
        ([seen(2, "slurm_preempted", TEARDOWN, REQUEUE), CANCELLED], "slurm_preempted"),
    ],
)
def test_what_stands_nearest_to_the_root_is_the_verdict(
    evidence: list[Anomaly], cause: str
) -> None:
    assert classify(evidence).cause == cause
    assert classify(evidence[::-1]).cause == cause


def test_of_two_roots_in_one_file_the_upper_line_counts() -> None:
    upper, lower = (
        seen(0, "cuda_error", ROOT, STOP, offset=10),
        seen(0, "segfault", ROOT, REQUEUE, offset=90),
    )
    assert classify([lower, upper]).finding == upper.finding


def test_of_two_roots_in_different_files_the_one_read_first_counts() -> None:
    late = seen(2, "cuda_error", ROOT, STOP, offset=10)
    early = Anomaly(seen(1, "segfault", ROOT, REQUEUE, offset=90).finding, "b.log", at_one())
    assert classify([late, early]).cause == "segfault"


def at_one() -> Any:
    return seen(1, "x", ROOT, STOP).detected_at


def test_every_node_with_the_fault_is_named_once() -> None:
    evidence = [
        LOST_GPU,
        seen(61, "gpu_lost", ROOT, EXCLUDE, facts={"node": "n4"}),
        seen(62, "gpu_lost", ROOT, EXCLUDE, facts={"node": "n3"}),
        seen(63, "segfault", ROOT, REQUEUE, facts={"node": "n5"}),
    ]
    assert classify(evidence).nodes == ("n3", "n4")


def test_memory_that_a_stranger_holds_outranks_the_error_before_it() -> None:
    error = seen(0, "oom_gpu", ROOT, STOP, offset=10)
    stranger = seen(0, "oom_gpu", ROOT, EXCLUDE, offset=90)
    assert classify([error, stranger]).recovery is EXCLUDE
    assert classify([error]).recovery is STOP


def test_no_node_is_named_for_a_fault_that_may_happen_anywhere() -> None:
    assert classify([seen(0, "segfault", ROOT, REQUEUE, facts={"node": "n5"})]).nodes == ()


EVIDENCE = st.builds(
    seen,
    st.integers(0, 5),
    st.sampled_from(["segfault", "nccl_timeout", "xid", "abort", "app_error", "oom_host"]),
    st.sampled_from(Role),
    st.sampled_from(Recovery),
    st.integers(0, 5),
    source=st.sampled_from(["a.log", "b.log"]),
    kind=st.just(Kind.CRASH),
)


@given(st.lists(EVIDENCE, max_size=8), st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_the_order_of_the_list(
    evidence: list[Anomaly], chance: random.Random
) -> None:
    distinct = list({(a.detected_at, a.source, a.finding.offset): a for a in evidence}.values())
    shuffled = list(distinct)
    chance.shuffle(shuffled)
    assert classify(shuffled).finding == classify(distinct).finding


@given(st.lists(EVIDENCE, max_size=8))
def test_a_root_with_a_recovery_is_never_passed_over_for_teardown(evidence: list[Anomaly]) -> None:
    chosen = classify(evidence).finding
    if any(a.finding.role is ROOT and a.finding.recovery is not NONE for a in evidence):
        assert chosen is not None
        assert chosen.role in (ROOT, CASCADE) or chosen.cause == "slurm_preempted"


def test_an_exception_that_is_announced_as_ignored_gives_no_verdict() -> None:
    ignored = seen(0, "python_exception", Role.BENIGN, NONE, offset=10, line_no=2)
    trace = seen(0, "python_exception", TEARDOWN, STOP, offset=90, line_no=6)
    real = seen(0, "python_exception", TEARDOWN, STOP, offset=400, line_no=12)
    assert classify([trace, ignored]).cause is None
    assert classify([real, trace, ignored]).finding == real.finding


def test_an_exception_far_below_an_ignored_one_counts() -> None:
    ignored = seen(0, "python_exception", Role.BENIGN, NONE, offset=10, line_no=2)
    far = seen(0, "python_exception", TEARDOWN, STOP, offset=9000, line_no=200)
    assert classify([ignored, far]).finding == far.finding


def test_a_program_s_own_message_outranks_the_summary_of_a_launcher() -> None:
    message = seen(2, "app_error", TEARDOWN, STOP, kind=Kind.CRASH)
    launcher = seen(1, "mpi_abort", CASCADE, STOP)
    assert classify([launcher, message]).finding == message.finding


def test_of_two_findings_on_one_line_the_exception_as_such_is_the_lesser() -> None:
    weights = seen(0, "checkpoint_error", TEARDOWN, STOP, offset=10)
    exception = seen(0, "python_exception", TEARDOWN, STOP, offset=10)
    assert classify([exception, weights]).finding == weights.finding
    assert classify([weights, exception]).finding == weights.finding


def benign(cause: str, offset: int, line_no: int) -> Anomaly:
    return seen(0, cause, Role.BENIGN, NONE, offset=offset, line_no=line_no)


def test_all_tasks_that_srun_says_it_kills_are_excused() -> None:
    killed = [seen(0, "oom_host", TEARDOWN, STOP, offset=n, line_no=n) for n in (5, 6, 7)]
    assert classify([benign("oom_host", 4, 4), *killed]).cause is None
    assert classify([*killed, benign("oom_host", 40, 40)]).cause == "oom_host"


def test_a_server_that_answers_again_takes_back_that_it_was_away() -> None:
    away = seen(0, "storage", TEARDOWN, REQUEUE, offset=10, line_no=2)
    assert classify([away, benign("storage", 90, 5)]).cause is None
    again = seen(0, "storage", TEARDOWN, REQUEUE, offset=200, line_no=99)
    assert classify([away, benign("storage", 90, 5), again]).finding == again.finding


def test_a_server_that_answers_again_does_not_undo_an_eviction() -> None:
    evicted = seen(0, "storage", ROOT, EXCLUDE, offset=10, line_no=2)
    assert classify([evicted, benign("storage", 90, 5)]).cause == "storage"


def test_a_licence_given_after_all_takes_back_the_refusal() -> None:
    refused = seen(0, "license_port", ROOT, STOP, offset=10, line_no=2)
    assert classify([refused, benign("license_port", 90, 5)]).cause is None


def test_one_log_does_not_excuse_another() -> None:
    away = seen(0, "storage", ROOT, REQUEUE, offset=10, source="other.log")
    assert classify([away, benign("storage", 90, 5)]).cause == "storage"


def test_facts_of_the_same_cause_complete_each_other() -> None:
    first = seen(0, "xid", ROOT, EXCLUDE, facts={"xid": "79", "pci": "0000:3b:00"})
    later = seen(1, "xid", ROOT, EXCLUDE, facts={"xid": "154", "node": "n3"}, offset=90)
    other = seen(1, "segfault", ROOT, REQUEUE, facts={"rank": "3"})
    facts = classify([later, other, first]).facts
    assert facts == {"xid": "79", "pci": "0000:3b:00", "node": "n3"}
