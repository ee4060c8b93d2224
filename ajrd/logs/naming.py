"""Does a file name carry the number of a job? Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ajrd.model import JobInfo


def marks_of(job: JobInfo) -> tuple[str, ...]:
    """What a file name may hold of a job: its number and, of an array task, ``A_T``."""
    marks = {str(job.raw_id), job.job_id}
    return tuple(sorted(marks))


def carries(name: str, marks: Iterable[str]) -> bool:
    """True if one of the marks stands in ``name`` as a whole number: 12 is not in 123."""
    return any(re.search(rf"(?<!\d){re.escape(mark)}(?!\d)", name) for mark in marks)
