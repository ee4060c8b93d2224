"""Does a file name carry the number of a job? Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ajrd.model import JobInfo

#: Digits of a number that may stand by chance in a name that people choose.
SMALL = 4


def marks_of(job: JobInfo) -> tuple[str, ...]:
    """What a file name may hold of a job: its number and, of an array task, ``A_T``.

    One task of an array has the array's own number, which stands in the names of all tasks: for
    that task it tells nothing. The steps of a het job have the numbers of its components.
    """
    if job.raw_id == job.array_job_id:
        return (job.job_id,)
    return tuple(sorted({job.job_id, str(job.raw_id), *map(str, job.components)}))


def carries(name: str, marks: Iterable[str]) -> bool:
    """True if one of the marks stands in ``name`` as a whole number: 12 is not in 123.

    Small numbers mean much else (``chain3``, ``gpt2``): up to four digits must stand apart from
    letters. The number of a task may be padded: ``7_003`` (sbatch(1), ``%3a``). It is no number of
    a job: ``slurm-7_12.out`` is the log of a task of array 7, whichever job 12 may be.
    """
    known = tuple(marks)
    arrays = "|".join([r"slurm-\d+", *(mark.partition("_")[0] for mark in known if "_" in mark)])
    is_task = re.compile(rf"(?<!\d)(?:{arrays})_$")
    return any(
        "_" in mark or not is_task.search(name[: found.start()])
        for mark in known
        for found in re.finditer(_whole(mark), name)
    )


def _whole(mark: str) -> str:
    """Matches a mark where it is a number of its own."""
    apart = r"\d" if len(mark.partition("_")[0]) > SMALL else r"[^\W_]"
    return rf"(?<!{apart}){_padded(mark)}(?!{apart})"


def _padded(mark: str) -> str:
    head, separator, task = mark.partition("_")
    return f"{re.escape(head)}_0*{re.escape(task)}" if separator else re.escape(head)
