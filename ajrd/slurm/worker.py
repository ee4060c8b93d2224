"""The process in which pyslurm lives: ``python -m ajrd.slurm.worker``.

pyslurm holds Python's interpreter lock while it waits for slurmctld, so in the service's own
process a slurmctld that hangs would stop everything; and a call of it can be broken off only
with its process. Questions come as one line of JSON each on standard input, answers go to
standard output as a line with their length and then JSON. The process ends with its input.

Only here are pyslurm's objects touched, attribute by attribute, because some of them raise on
what a job does not have.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

#: What :mod:`ajrd.slurm.native` wants to know of a job: attributes of ``pyslurm.Job``.
JOB_FIELDS = (
    "id", "name", "user_name", "user_id", "group_id", "partition", "state", "state_reason",
    "priority", "requeue_count", "is_requeueable", "is_batch_job", "array_id", "array_task_id",
    "array_tasks_waiting", "heterogeneous_id", "heterogeneous_offset", "submit_time",
    "eligible_time", "start_time", "end_time", "run_time", "allocated_nodes", "excluded_nodes",
    "exit_code", "exit_code_signal", "working_directory", "standard_output", "standard_error",
    "comment", "admin_comment", "dependencies", "cpus",
)  # fmt: skip
#: … of the cluster: attributes of ``pyslurm.slurmctld.Config``.
CLUSTER_FIELDS = ("cluster_name", "version", "job_requeue", "min_job_age")


def record(thing: Any, fields: Iterable[str]) -> dict[str, Any]:
    """Attributes of one of pyslurm's objects."""
    return {field: _attribute(thing, field) for field in fields}


def _attribute(thing: Any, field: str) -> Any:
    """One attribute; text that is no UTF-8 (users choose it) as :func:`os.fsdecode` keeps it."""
    try:
        return getattr(thing, field)
    except UnicodeDecodeError as error:
        return os.fsdecode(error.object)


def _cluster(api: Any) -> dict[str, Any]:
    return record(api.slurmctld.Config.load(), CLUSTER_FIELDS)


def _jobs(api: Any) -> list[dict[str, Any]]:
    return [_job_record(job) for job in api.Jobs.load().values()]


def _job(api: Any, raw_id: int) -> dict[str, Any]:
    return _job_record(api.Job.load(raw_id))


def _job_record(job: Any) -> dict[str, Any]:
    said = record(job, JOB_FIELDS)
    return said | {"gpus": _gpus_if_known(job) if said["comment"] else 0}


def _gpus_if_known(job: Any) -> int:
    """For reports alone: what cannot be read must not hide all jobs from recovery.

    Nor is it free, so nobody asks it of jobs without a comment, which ask nothing of ajrd.
    """
    try:
        return _gpus(job)
    except Exception:  # pyslurm's own, of whatever kind
        return 0


def _gpus(job: Any) -> int:
    """All of them: Slurm may count the typed ones, their sum, or both.

    Without ``gres/gpu`` in AccountingStorageTRES it counts none, and the nodes tell.
    """
    counts = {str(name): int(gpu.count) for name, gpu in (job.gpus or {}).items()}
    whole = [count for name, count in counts.items() if ":" not in name]
    return whole[0] if whole else sum(counts.values()) or _gpus_of_nodes(job)


def _gpus_of_nodes(job: Any) -> int:
    if not job.allocated_nodes:
        return 0
    given = (node["gres"] for node in job.get_resource_layout_per_node().values())
    return sum(
        int(what["count"])
        for gres in given
        for name, what in gres.items()
        if name.split(":")[0] == "gpu"
    )


def _requeue(api: Any, raw_id: int, hold: bool) -> None:
    api.Job(raw_id).requeue(hold=hold)


def _update(api: Any, raw_id: int, **fields: Any) -> None:
    api.Job(raw_id).modify(api.JobSubmitDescription(**fields))


def _hold(api: Any, raw_id: int) -> None:
    api.Job(raw_id).hold(mode="admin")


def _release(api: Any, raw_id: int) -> None:
    api.Job(raw_id).release()


_CALLS: dict[str, Callable[..., Any]] = {
    "cluster": _cluster,
    "jobs": _jobs,
    "job": _job,
    "requeue": _requeue,
    "update": _update,
    "hold": _hold,
    "release": _release,
}


def answer(api: Any, question: dict[str, Any]) -> dict[str, Any]:
    """``{"value": …}``, or ``{"error": …}`` by Slurm, or ``{"unreadable": …}``."""
    try:
        return {"value": _CALLS[question["call"]](api, **question["with"])}
    except api.RPCError as error:
        return {"error": str(error)}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}


def serve(api: Any, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions."""
    for line in questions:
        body = json.dumps(answer(api, json.loads(line))).encode()
        answers.write(b"%d\n" % len(body) + body)
        answers.flush()


def main() -> int:
    """With ``--check`` only import pyslurm: exit code 1 and the reason if that does not work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service's to handle
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libslurm prints must not be taken for an answer
    try:
        api = importlib.import_module("pyslurm")
    except (ImportError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if sys.argv[1:] != ["--check"]:
        serve(api, sys.stdin.buffer, answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
