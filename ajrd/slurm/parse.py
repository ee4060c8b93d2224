"""Slurm's printed answers as values: listings of squeue, the configuration.

Names, comments and paths are text that users choose, with newlines and ``Key=Value`` in it if
they like. Listings are therefore printed with a separator that is random for every call, so
that no text can pretend to be a field; the block of ``scontrol show job`` is never read.
Everything here is pure; what cannot be understood raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from ClusterShell.NodeSet import NodeSet
from ClusterShell.RangeSet import RangeSet

from ajrd.model import JobInfo, StepInfo
from ajrd.slurm.base import ClusterInfo
from ajrd.slurm.gpus import by_request, count_in
from ajrd.slurm.identity import job_name, task_id
from ajrd.slurm.patterns import PatternContext, expand_batch
from ajrd.slurm.states import Run, from_words, held_by

#: Fields of ``squeue -O`` for one job (squeue(1)); the same names from 22.05 to 25.11.
JOB_FIELDS = (
    "JobID", "ArrayJobID", "ArrayTaskID", "HetJobID", "HetJobOffset", "UserID", "UserName",
    "GroupID", "Partition", "State", "Reason", "RestartCnt", "PriorityLong", "Requeue",
    "BatchFlag", "exit_code", "SubmitTime", "EligibleTime", "StartTime", "EndTime", "TimeUsed",
    "NodeList", "tres-alloc", "tres-per-job", "tres-per-node", "tres-per-task", "NumNodes",
    "NumTasks", "Dependency", "Name", "WorkDir", "STDOUT", "STDERR", "comment", "admin_comment",
)  # fmt: skip
#: Fields of ``squeue -s -O`` for one step.
STEP_FIELDS = ("StepID", "StepName", "Nodes", "NumTasks", "StartTime")

_EMPTY = frozenset({"", "(null)", "N/A", "NONE", "None", "Unknown", "INVALID"})
_SRUN = re.compile(r"^   SrunHost:Pid=([^\s:]+):(\d+)\s*$", re.MULTILINE)


def long_format(fields: tuple[str, ...], separator: str) -> str:
    """The argument of ``squeue -O``: every field at full length, ended by ``separator``."""
    return ",".join(f"{field}:{separator}" for field in fields)


def records(text: str, fields: tuple[str, ...], separator: str) -> Iterator[dict[str, str]]:
    """The records of a listing made with :func:`long_format`."""
    parts = text.split(separator)
    if (len(parts) - 1) % len(fields) or parts[-1].strip():
        raise ValueError("squeue printed an incomplete record")
    for start in range(0, len(parts) - 1, len(fields)):
        values = parts[start : start + len(fields)]
        values[0] = values[0].removeprefix("\n")
        yield dict(zip(fields, values, strict=True))


def array_records_merged(listing: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """One record for each record of slurmctld, from ``squeue --array``.

    ``--array`` prints the pending tasks of an array one by one. Without it squeue merges also
    those that have a record of their own, with other restarts and another hold
    (``_combine_pending_array_tasks`` in ``src/squeue/print.c``).
    """
    groups: dict[str, list[dict[str, str]]] = {}
    for record in listing:
        groups.setdefault(record["JobID"], []).append(record)
    return [group[0] | {"ArrayTaskID": _folded(group)} for group in groups.values()]


def _folded(group: list[dict[str, str]]) -> str:
    tasks = [record["ArrayTaskID"] for record in group]
    return str(RangeSet.fromlist(tasks)) if len(tasks) > 1 else tasks[0]


def excluded_nodes(text: str, separator: str) -> dict[int, str]:
    """Excluded nodes by raw job id, from ``squeue -o "%A{sep}%x{sep}"``: -O lacks them in 22.05."""
    listing = records(text, ("id", "nodes"), separator)
    return {int(record["id"]): _value(record["nodes"]) for record in listing}


def job_from_listing(record: Mapping[str, str], exclude_nodes: str) -> JobInfo:
    """One job of a listing with :data:`JOB_FIELDS`."""
    raw = int(record["JobID"])
    task = record["ArrayTaskID"]
    array = int(record["ArrayJobID"]) if task not in _EMPTY else None
    het = _number(record["HetJobID"])
    start, end = _number(record["StartTime"]), _number(record["EndTime"])
    used_nothing = record["TimeUsed"].strip("0:") == ""
    state = from_words([record["State"]], Run(record["Reason"], start, end, used_nothing))
    code = int(record["exit_code"])
    batch = record["BatchFlag"] != "0"  # 2 after Slurm has requeued a job that its node had lost
    pending_array = array is not None and task_id(task) is None
    has_files = batch and not pending_array
    context = PatternContext(
        job_id=raw, job_name=record["Name"], user=record["UserName"], work_dir=record["WorkDir"],
        array_job_id=array, array_task_id=task_id(task), nodes=_first_node(record["NodeList"]),
    )  # fmt: skip
    return JobInfo(
        job_id=job_name(raw, array, task, het, _number(record["HetJobOffset"]) or 0),
        raw_id=raw,
        name=record["Name"],
        user=record["UserName"],
        uid=int(record["UserID"]),
        gid=int(record["GroupID"]),
        partition=record["Partition"],
        state=state.base,
        completing=state.completing,
        configuring=state.configuring,
        reason=record["Reason"],
        held=held_by(state.base, int(record["PriorityLong"]), record["Reason"]),
        restarts=int(record["RestartCnt"]),
        requeue=record["Requeue"] == "1",
        batch=batch,
        array_job_id=array,
        array_pending=pending_array,
        het_job_id=het,
        submit_time=_time(int(record["SubmitTime"])),
        eligible_time=_time_or_none(_number(record["EligibleTime"])),
        start_time=_time_or_none(start),
        end_time=_time_or_none(end),
        nodes=_value(record["NodeList"]),
        cpus=count_in(record["tres-alloc"], "cpu"),
        gpus=_gpus(record),
        exclude_nodes=exclude_nodes,
        exit_code=code >> 8,
        signal=code & 0x7F,
        dependency=_value(record["Dependency"]),
        work_dir=record["WorkDir"],
        std_out=_batch_file(record["STDOUT"], context) if has_files else "",
        std_err=_batch_file(record["STDERR"], context) if has_files else "",
        comment=_text(record["comment"]),
        admin_comment=_text(record["admin_comment"]),
    )


def _gpus(record: Mapping[str, str]) -> int:
    counted = count_in(record["tres-alloc"], "gres/gpu")
    if counted or not _value(record["NodeList"]):
        return counted
    return by_request(
        job=record["tres-per-job"],
        node=record["tres-per-node"],
        task=record["tres-per-task"],
        nodes=_number(record["NumNodes"]) or 0,
        tasks=_number(record["NumTasks"]) or 0,
    )


def _batch_file(shown: str, context: PatternContext) -> str:
    """squeue 22.05 shows the pattern, and for "no pattern" a name that is wrong for arrays."""
    default = f"{context.work_dir}/slurm-{context.job_id}.out"
    return expand_batch("" if shown == default else shown, context)


def steps_from_listing(text: str, separator: str, job_id: str) -> list[StepInfo]:
    """The steps of ``squeue -s`` with :data:`STEP_FIELDS`."""
    return [
        StepInfo(
            job_id=job_id,
            step_id=record["StepID"].rsplit(".", 1)[-1],
            name=record["StepName"],
            nodes=_value(record["Nodes"]),
            tasks=_number(record["NumTasks"]) or 1,
            start_time=_time_or_none(_number(record["StartTime"])),
        )
        for record in records(text, STEP_FIELDS, separator)
    ]


def srun_process(text: str) -> tuple[str, int]:
    """Host and pid of the srun behind *one* step, from ``scontrol show step J.S``.

    The owner chooses the step's name, which stands before: only the last match counts, and
    the process is to be checked to be the owner's before it is looked into.
    """
    found = _SRUN.findall(text)
    return (found[-1][0], int(found[-1][1])) if found else ("", 0)


def cluster_from_config(text: str) -> ClusterInfo:
    """The cluster, from ``scontrol show config``."""
    found = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", text, re.MULTILINE))
    version = re.match(r"(\d+)\.(\d+)\.(\d+)", found["SLURM_VERSION"])
    if version is None:
        raise ValueError(f"unknown Slurm version {found['SLURM_VERSION']!r}")
    major, minor, micro = (int(part) for part in version.groups())
    return ClusterInfo(
        name=found["ClusterName"],
        version=(major, minor, micro),
        requeue_default=found["JobRequeue"] == "1",
        min_job_age=int(found["MinJobAge"].split()[0]),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _value(text: str) -> str:
    return "" if text in _EMPTY else text


def _text(text: str) -> str:
    """A comment: squeue prints an absent one as ``(null)``."""
    return "" if text == "(null)" else text


def _first_node(nodes: str) -> tuple[str, ...]:
    return tuple(NodeSet(nodes))[:1] if _value(nodes) else ()


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: int | None) -> datetime | None:
    return _time(seconds) if seconds else None
