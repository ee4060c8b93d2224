"""Slurm's ``--json`` answers as values: of squeue, and of scontrol for steps.

22.05 (plugin v0.0.38) has plain values, 23.11 and later (data_parser v0.0.40 on) have lists of
state flags and numbers as ``{"set", "infinite", "number"}``; both are understood. Everything
here is pure; what cannot be understood raises ValueError, KeyError or TypeError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from ajrd.model import HoldBy, JobInfo, StepInfo
from ajrd.slurm.gpus import count_in, in_details
from ajrd.slurm.identity import job_name, task_id
from ajrd.slurm.states import Run, from_words, held_by


def document(text: str) -> dict[str, Any]:
    """The JSON document that ``--json`` printed."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("Slurm printed JSON that is no object")
    return value


def jobs_from_json(text: str) -> list[JobInfo]:
    """The jobs of ``squeue --json`` of Slurm 23.11 and later (data_parser v0.0.40 on)."""
    return [_job_from_json(record) for record in document(text)["jobs"]]


def _job_from_json(record: Mapping[str, Any]) -> JobInfo:
    raw = int(record["job_id"])
    array = _set(record, "array_job_id") or None
    task = record.get("array_task_string") or _task(record)
    het = _set(record, "het_job_id") or None
    reason = record.get("state_description") or record["state_reason"]
    start, end = _set(record, "start_time") or None, _set(record, "end_time") or None
    words = record["job_state"]
    state = from_words(
        [words] if isinstance(words, str) else list(words), Run(reason, start, end, not start)
    )
    code, signal = _exit(record.get("exit_code", 0))
    batch = bool(record["batch_flag"])
    pending_array = array is not None and task_id(task) is None
    has_files = batch and not pending_array
    out, err = (_shown_file(record, kind) if has_files else "" for kind in ("out", "err"))
    return JobInfo(
        job_id=job_name(raw, array, task if array else "", het, _set(record, "het_job_offset")),
        raw_id=raw,
        name=record["name"],
        user=record.get("user_name", ""),
        uid=int(record["user_id"]),
        gid=int(record.get("group_id", 0)),
        partition=record["partition"],
        state=state.base,
        completing=state.completing,
        configuring=state.configuring,
        reason=reason,
        held=held_by(state.base, _set(record, "priority", 1), reason, record["state_reason"]),
        restarts=_set(record, "restart_cnt"),
        requeue=bool(record["requeue"]),
        batch=batch,
        array_job_id=array,
        array_pending=pending_array,
        het_job_id=het,
        submit_time=_time(_set(record, "submit_time")),
        eligible_time=_time_or_none(_set(record, "eligible_time")),
        start_time=_time_or_none(start),
        end_time=_time_or_none(end),
        nodes=record.get("nodes") or "",
        cpus=count_in(record.get("tres_alloc_str") or "", "cpu"),
        gpus=_gpus(record),
        exclude_nodes=record.get("excluded_nodes") or "",
        exit_code=code,
        signal=signal,
        dependency=record.get("dependency") or "",
        work_dir=record.get("current_working_directory") or "",
        std_out=out,
        std_err=err or out,
        comment=_comment(record.get("comment")),
        admin_comment=_comment(record.get("admin_comment")),
    )


def _gpus(record: Mapping[str, Any]) -> int:
    counted = count_in(record.get("tres_alloc_str") or "", "gres/gpu")
    return counted or in_details(record.get("gres_detail") or ())


def admin_held(text: str) -> set[tuple[int, int]]:
    """(raw job id, restarts) of every job of a ``squeue --json`` whose hold is the admin's.

    22.05 shows this nowhere else once ``requeuehold`` has set its text.
    """
    return {
        (record["job_id"], _set(record, "restart_cnt"))
        for record in document(text)["jobs"]
        if record["state_reason"] == "JobHeldAdmin" and _set(record, "priority", 1) == 0
    }


def steps_from_json(text: str, job_id: str) -> list[StepInfo]:
    """The steps of ``scontrol show step J --json`` (23.11 on; files from 25.05 on)."""
    return [_step_from_json(record, job_id) for record in document(text)["steps"]]


def _step_from_json(record: Mapping[str, Any], job_id: str) -> StepInfo:
    srun = record.get("srun") or {}
    return StepInfo(
        job_id=job_id,
        step_id=str(record["id"]).rsplit(".", 1)[-1],
        name=record.get("name") or "",
        nodes=record.get("nodes") or "",
        tasks=_set(record, "number_tasks", 1),
        start_time=_time_or_none(_set(record.get("time") or {}, "start")),
        std_out=record.get("stdout_expanded") or "",
        std_err=record.get("stderr_expanded") or record.get("stdout_expanded") or "",
        patterns=tuple(_step_patterns(record)),
        srun_host=srun.get("host") or "",
        srun_pid=_set(srun, "pid"),
    )


def _step_patterns(record: Mapping[str, Any]) -> Iterator[str]:
    """Patterns that name tasks or nodes. A relative one begins where its expanded form does."""
    for kind in ("stdout", "stderr"):
        pattern, first = record.get(kind) or "", record.get(f"{kind}_expanded") or ""
        if first and re.search(r"%\d*[tnN]", pattern):
            levels = len(PurePosixPath(pattern).parts)
            above = PurePosixPath(first).parents
            yield str(above[min(levels, len(above)) - 1] / pattern)


def with_admin_holds(jobs: list[JobInfo], held: set[tuple[int, int]]) -> list[JobInfo]:
    """``jobs`` with the holds of :func:`admin_held` in place of the text that covers them."""
    return [
        _held_by_admin(job)
        if job.held is HoldBy.REQUEUE_HOLD and (job.raw_id, job.restarts) in held
        else job
        for job in jobs
    ]


def _held_by_admin(job: JobInfo) -> JobInfo:
    return replace(job, held=HoldBy.ADMIN)


def _set(record: Mapping[str, Any], key: str, default: int = 0) -> int:
    """A number: plain (22.05) or ``{"set", "infinite", "number"}`` (23.02 on)."""
    value = record.get(key, default)
    if isinstance(value, dict):
        value = value.get("number", default) if value.get("set") else default
    return default if value is None else int(value)


def _exit(value: Any) -> tuple[int, int]:
    """Exit code and signal: a wait status (22.05) or an object with both (23.02 on)."""
    if isinstance(value, int):
        return value >> 8, value & 0x7F
    signal = value.get("signal") or {}
    number = _set(signal, "id") or _set(signal, "signal_id")
    return _set(value, "return_code"), number


def _task(record: Mapping[str, Any]) -> str:
    number = _set(record, "array_task_id", -1)
    return str(number) if number >= 0 else ""


def _shown_file(record: Mapping[str, Any], kind: str) -> str:
    """``stdout_expanded`` from 25.05 on; before that, ``standard_output`` is the name itself."""
    plain = {"out": "standard_output", "err": "standard_error"}[kind]
    return record.get(f"std{kind}_expanded") or record.get(plain) or ""


def _comment(value: Any) -> str:
    """A comment in JSON: a string in 22.05, 24.11 and 25.11 alike; absent or null is none."""
    return value if isinstance(value, str) else ""


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: int | None) -> datetime | None:
    return _time(seconds) if seconds else None
