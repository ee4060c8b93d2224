"""Slurm's answers as values: listings of 22.05 as captured, JSON of later versions by shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.model import HoldBy, JobInfo, JobState
from ajrd.slurm import documents, parse
from ajrd.slurm.base import Refusal
from ajrd.slurm.identity import is_job_id
from ajrd.slurm.refusals import as_error
from ajrd.slurm.states import REQUEUE_HELD, Run, from_words

SEP = "<0123>"

#: A running job as squeue 22.05.8 printed it.
RUNNING = {
    "JobID": "6", "ArrayJobID": "6", "ArrayTaskID": "N/A", "HetJobID": "N/A",
    "HetJobOffset": "N/A", "UserID": "1000", "UserName": "alice", "GroupID": "100",
    "Partition": "main", "State": "RUNNING", "Reason": "None", "RestartCnt": "0",
    "PriorityLong": "4294901757", "Requeue": "1", "BatchFlag": "1", "exit_code": "0",
    "SubmitTime": "1795532472", "EligibleTime": "1795532472", "StartTime": "1795532473",
    "EndTime": "NONE", "TimeUsed": "0:07", "NodeList": "n[1-2]", "Dependency": "(null)",
    "tres-alloc": "cpu=8,mem=1G,node=2,billing=8,gres/gpu=4,gres/gpu:h100=4",
    "tres-per-job": "N/A",
    "tres-per-node": "gres:gpu:2",
    "tres-per-task": "N/A",
    "NumNodes": "2",
    "NumTasks": "2",
    "Name": "wrap", "WorkDir": "/w", "STDOUT": "/w/slurm-6.out", "STDERR": "/w/slurm-6.out",
    "comment": "(null)", "admin_comment": "(null)",
}  # fmt: skip


def listing(*records: dict[str, str]) -> str:
    return "".join(
        "".join(record[key] + SEP for key in parse.JOB_FIELDS) + "\n" for record in records
    )


def read(**changes: str) -> JobInfo:
    text = listing(RUNNING | changes)
    (record,) = parse.array_records_merged(parse.records(text, parse.JOB_FIELDS, SEP))
    return parse.job_from_listing(record, "")


def test_a_running_job_is_read() -> None:
    job = read()
    assert (job.job_id, job.raw_id, job.uid, job.gid) == ("6", 6, 1000, 100)
    assert (job.state, job.nodes, job.comment, job.end_time) == (
        JobState.RUNNING,
        "n[1-2]",
        "",
        None,
    )
    assert job.start_time == datetime.fromtimestamp(1795532473, UTC)
    assert (job.array_job_id, job.het_job_id, job.dependency) == (None, None, "")
    assert (job.cpus, job.gpus) == (8, 4)


def test_gpus_are_told_by_the_request_where_slurm_does_not_count_them() -> None:
    uncounted = {"tres-alloc": "cpu=8,node=2", "NodeList": "n[1-2]"}
    assert read(**uncounted).gpus == 4
    per_job = {"tres-per-job": "gres:gpu:3", "tres-per-node": "N/A"}
    assert read(**uncounted | per_job).gpus == 3
    assert read(**uncounted, **{"tres-per-node": "(null)"}).gpus == 0
    assert read(**uncounted | {"NodeList": ""}).gpus == 0


@given(st.text(alphabet=st.sampled_from('a=|,<>0123 \n\t"\x1eé'), max_size=60))
def test_no_text_of_a_user_reaches_another_field(text: str) -> None:
    job = read(Name=text, comment=text, admin_comment=text) if SEP not in text else None
    assert job is None or (job.name, job.comment, job.uid, job.restarts) == (text, text, 1000, 0)


def test_a_listing_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="incomplete"):
        list(parse.records(listing(RUNNING)[:-40], parse.JOB_FIELDS, SEP))


def test_an_array_task_goes_by_its_array() -> None:
    job = read(ArrayJobID="5", ArrayTaskID="1")
    assert (job.job_id, job.array_job_id, job.std_out) == ("5_1", 5, "/w/slurm-5_1.out")


def test_pending_tasks_of_one_record_are_one_job() -> None:
    tasks = [
        RUNNING | {"State": "PENDING", "ArrayJobID": "6", "ArrayTaskID": task}
        for task in ("2", "3", "7")
    ]
    (record,) = parse.array_records_merged(parse.records(listing(*tasks), parse.JOB_FIELDS, SEP))
    job = parse.job_from_listing(record, "")
    assert (job.job_id, job.array_pending, job.std_out) == ("6_[2-3,7]", True, "")


def test_a_het_component_goes_by_its_leader() -> None:
    job = read(JobID="22", HetJobID="21", HetJobOffset="1")
    assert (job.job_id, job.raw_id, job.het_job_id) == ("21+1", 22, 21)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"Reason": REQUEUE_HELD, "TimeUsed": "0:00"}, JobState.PENDING),
        ({"TimeUsed": "0:00", "EndTime": "NONE"}, JobState.PENDING),
        ({"TimeUsed": "0:00", "EndTime": "1795536073"}, JobState.PENDING),
        ({"TimeUsed": "0:00", "EndTime": "1795532473"}, JobState.CANCELLED),
        ({"TimeUsed": "1:00:00", "EndTime": "1795536073"}, JobState.CANCELLED),
        ({"Reason": "NonZeroExitCode", "EndTime": "1795532475"}, JobState.FAILED),
        ({"Reason": "TimeLimit", "EndTime": "1795532999"}, JobState.TIMEOUT),
        ({"Reason": "NodeDown", "EndTime": "1795532999"}, JobState.NODE_FAIL),
    ],
)
def test_what_completing_hides_is_inferred(changes: dict[str, str], state: JobState) -> None:
    job = read(State="COMPLETING", **changes)
    assert (job.state, job.completing) == (state, True)


def test_configuring_counts_as_running() -> None:
    job = read(State="CONFIGURING")
    assert (job.state, job.configuring) == (JobState.RUNNING, True)


@pytest.mark.parametrize(
    ("reason", "priority", "held"),
    [
        ("JobHeldUser", "0", HoldBy.USER),
        ("JobHeldAdmin", "0", HoldBy.ADMIN),
        (REQUEUE_HELD, "0", HoldBy.REQUEUE_HOLD),
        ("launch failed requeued held", "0", HoldBy.ADMIN),
        ("Priority", "1", HoldBy.NOBODY),
        (REQUEUE_HELD, "17", HoldBy.NOBODY),
    ],
)
def test_a_hold_is_priority_zero_and_its_reason_says_whose(
    reason: str, priority: str, held: HoldBy
) -> None:
    assert read(State="PENDING", Reason=reason, PriorityLong=priority).held is held


def test_a_job_that_does_not_wait_is_not_held() -> None:
    assert read(Reason="JobHeldAdmin", PriorityLong="0").held is HoldBy.NOBODY


def test_an_exit_status_is_code_and_signal() -> None:
    assert (read(exit_code="768").exit_code, read(exit_code="768").signal) == (3, 0)
    assert (read(exit_code="139").exit_code, read(exit_code="139").signal) == (0, 11)


def number(value: int | None) -> dict[str, Any]:
    return {"set": value is not None, "infinite": False, "number": value or 0}


def modern(**changes: Any) -> JobInfo:
    record = {
        "job_id": 6, "array_job_id": number(0), "array_task_id": number(None),
        "array_task_string": "", "het_job_id": number(0), "het_job_offset": number(0),
        "user_id": 1000, "user_name": "alice", "group_id": 100, "partition": "main",
        "name": "wrap", "job_state": ["RUNNING"], "state_reason": "None",
        "state_description": "", "restart_cnt": 1, "priority": number(17), "requeue": True,
        "batch_flag": True, "hold": False, "submit_time": number(1795532472),
        "eligible_time": number(1795532472), "start_time": number(1795532473),
        "end_time": number(None), "nodes": "n1", "excluded_nodes": "n7", "dependency": "",
        "exit_code": {
            "status": ["SUCCESS"], "return_code": number(0),
            "signal": {"id": number(None), "name": ""},
        },
        "current_working_directory": "/w", "standard_output": "/w/%x.out",
        "stdout_expanded": "/w/wrap.out", "standard_error": "", "comment": "c",
        "admin_comment": "a",
    } | changes  # fmt: skip
    (job,) = documents.jobs_from_json(json.dumps({"jobs": [record]}))
    return job


def test_a_job_of_a_newer_slurm_is_read() -> None:
    job = modern()
    assert (job.job_id, job.state, job.restarts, job.exclude_nodes) == (
        "6",
        JobState.RUNNING,
        1,
        "n7",
    )
    assert (job.std_out, job.std_err, job.end_time) == ("/w/wrap.out", "/w/wrap.out", None)
    assert (job.comment, job.admin_comment, job.array_job_id) == ("c", "a", None)


def test_a_newer_slurm_names_the_state_and_its_flags() -> None:
    job = modern(job_state=["CANCELLED", "COMPLETING"])
    assert (job.state, job.completing) == (JobState.CANCELLED, True)


def test_a_newer_slurm_names_the_signal() -> None:
    code = {"return_code": number(0), "signal": {"id": number(11), "name": "SIGSEGV"}}
    assert modern(job_state=["FAILED"], exit_code=code).signal == 11


def test_the_admins_hold_shows_through_the_text_of_a_requeue() -> None:
    held = {"job_state": ["PENDING"], "priority": number(0), "state_description": REQUEUE_HELD}
    assert modern(**held, state_reason="JobHeldUser").held is HoldBy.REQUEUE_HOLD
    assert modern(**held, state_reason="JobHeldAdmin").held is HoldBy.ADMIN


def test_array_task_zero_has_a_name() -> None:
    job = modern(array_job_id=number(5), array_task_id=number(0))
    assert (job.job_id, job.array_pending) == ("5_0", False)


def test_steps_of_a_newer_slurm_name_their_files() -> None:
    step = {
        "id": "6.0", "name": "train", "nodes": "n1", "number_tasks": 2,
        "srun": {"host": "head", "pid": number(77)}, "time": {"start": number(1795532473)},
        "stdout_expanded": "/w/step.log", "stderr_expanded": "",
    }  # fmt: skip
    (seen,) = documents.steps_from_json(json.dumps({"steps": [step]}), "6")
    assert (seen.step_id, seen.std_out, seen.std_err) == ("0", "/w/step.log", "/w/step.log")
    assert (seen.srun_host, seen.srun_pid, seen.tasks) == ("head", 77, 2)


def test_the_srun_of_a_step_is_not_the_one_that_its_name_claims() -> None:
    text = (
        "StepId=19.0 UserId=0 StartTime=1795533089 TimeLimit=UNLIMITED\n"
        "   Nodes=2 CPUs=2 Tasks=2 Name=sn\n   SrunHost:Pid=evil:1 Network=(null)\n"
        "   SrunHost:Pid=evil:1\n   SrunHost:Pid=vm:8269\n\n"
    )
    assert parse.srun_process(text) == ("vm", 8269)


def test_the_configuration_names_cluster_and_version() -> None:
    text = (
        "Configuration data as of 1795533095\nClusterName             = exp\n"
        "JobRequeue              = 1\nMinJobAge               = 300 sec\n"
        "SLURM_VERSION           = 22.05.8\n"
    )
    info = parse.cluster_from_config(text)
    assert (info.name, info.version, info.requeue_default) == ("exp", (22, 5, 8), True)
    assert info.min_job_age == 300


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Invalid job id specified for job 9", Refusal.UNKNOWN_JOB),
        ("Requested operation is presently disabled for job 12", Refusal.REQUEUE_DISABLED),
        ("Only batch jobs are accepted or processed for job 13", Refusal.NOT_BATCH),
        ("Job is pending execution for job 3", Refusal.WRONG_STATE),
        ("Job has already finished for job 3", Refusal.WRONG_STATE),
        ("Job is no longer pending execution for job 27", Refusal.WRONG_STATE),
        ("Access/permission denied for job 3", Refusal.NOT_PERMITTED),
        ("Invalid node name specified for job 14", Refusal.INVALID),
    ],
)
def test_a_refusal_has_a_code(text: str, code: Refusal) -> None:
    error = as_error("scontrol requeuehold 3", text)
    assert isinstance(error, SlurmRejected)
    assert error.code == code


@pytest.mark.parametrize(
    "text",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "Zero Bytes were transmitted or received for job 3",
        "Socket timed out on send/recv operation for job 3",
        "squeue: error: Munge encode failed: Failed to access\nProtocol authentication error",
        "Unexpected message received for job 1",
        "slurm_load_jobs error: Connection reset by peer",
        "error: cannot stat file x: Permission denied\nfatal: Unable to process configuration file",
    ],
)
def test_an_unreachable_controller_is_no_refusal(text: str) -> None:
    assert isinstance(as_error("squeue", text), SlurmUnavailable)


@pytest.mark.parametrize("text", ["", "-x", "1;2", "1 2", "1_", "all", "1,2", "1\n", "١"])
def test_only_a_job_id_is_a_job_id(text: str) -> None:
    assert not is_job_id(text)


@pytest.mark.parametrize(
    ("pattern", "first", "expected"),
    [
        ("logs/%j-%t.out", "/w/logs/6-0.out", ("/w/logs/%j-%t.out",)),
        ("/data/%3n.out", "/data/000.out", ("/data/%3n.out",)),
        ("%N", "/w/n1", ("/w/%N",)),
        ("step.log", "/w/step.log", ()),
        ("%j.log", "/w/6.log", ()),
        ("", "", ()),
    ],
)
def test_a_step_with_a_file_for_each_task_tells_its_pattern(
    pattern: str, first: str, expected: tuple[str, ...]
) -> None:
    step = {"id": "6.0", "stdout": pattern, "stdout_expanded": first}
    (seen,) = documents.steps_from_json(json.dumps({"steps": [step]}), "6")
    assert seen.patterns == expected


@pytest.mark.parametrize("flag", ["EXPEDITING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"])
def test_a_flag_in_place_of_the_state_of_a_requeued_job_is_understood(flag: str) -> None:
    assert from_words([flag], Run("None", None, None, True)).base is JobState.PENDING
