"""How jobs are called: plain ids, array tasks ``A_T``, pending arrays ``A_[…]``, het ``J+O``."""

from __future__ import annotations

import re

_JOB_ID = re.compile(r"\d{1,10}(_\d{1,10}|_\[[\d,:-]{1,4096}\]|\+\d{1,10})?", re.ASCII)


def is_job_id(text: str) -> bool:
    """True for what Slurm's commands take as the name of one job."""
    return _JOB_ID.fullmatch(text) is not None


def task_id(text: str) -> int | None:
    """The task number, None for no array and for the record of several pending tasks."""
    return int(text) if text.isdigit() else None


def job_name(raw: int, array: int | None, tasks: str, het: int | None, offset: int) -> str:
    """The name that commands take; ``tasks`` is a number or an expression (``1-3,7%2``)."""
    if array is not None:
        single = task_id(tasks) is not None
        return f"{array}_{tasks}" if single else f"{array}_[{tasks.split('%', 1)[0]}]"
    return f"{het}+{offset}" if het else str(raw)
