"""The names of output files, as sbatch, srun and slurmstepd make them from a pattern.

Slurm leaves ``%x-%j.out`` to the program that opens the file, and versions before 23.02 show
the pattern instead of the name. The rules follow ``src/slurmd/common/fname.c`` (batch and
per-task names) and ``src/srun/libsrun/fname.c`` of Slurm 22.05; ``sbatch(1)`` and ``srun(1)``,
section FILENAME PATTERN, describe the same set. 25.11 has rules of its own, which differ in
corners (``%b``, ``%r``, what is no conversion); it shows the names of batch scripts' files.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

#: Slurm pads numbers to this width at most (MAX_WIDTH in fname.c).
MAX_WIDTH = 10
#: What Slurm prints for "no array task" (NO_VAL in slurm.h).
NO_VAL = 4294967294

_CONVERSION = re.compile(r"%(?:(%)|(\d*)([aAjJnNstux]?))")
_UNPADDED = frozenset("Nux")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternContext:
    """What a pattern may refer to.

    ``job_id`` is the number of the record (an array task has its own), ``nodes`` the host names
    in the order of the allocation, ``tasks`` the number of tasks of the step, ``step_id`` the
    number of the step as text.
    """

    job_id: int
    job_name: str = ""
    user: str = ""
    work_dir: str = "/"
    array_job_id: int | None = None
    array_task_id: int | None = None
    step_id: str = "0"
    nodes: tuple[str, ...] = ()
    tasks: int = 1


def default_batch_pattern(array: bool) -> str:
    """The pattern that sbatch uses when ``--output`` is absent."""
    return "slurm-%A_%a.out" if array else "slurm-%j.out"


def expand_batch(pattern: str, context: PatternContext) -> str:
    """The absolute name of a batch script's output file; "" as pattern means the default."""
    pattern = pattern or default_batch_pattern(context.array_task_id is not None)
    values = _job_values(context) | {
        "J": str(context.job_id),
        "s": "batch",
        "n": "0",
        "t": "0",
        "N": _short(context.nodes[0]) if context.nodes else "",
    }
    return _absolute(_expand(pattern, values, _UNPADDED | {"s"}), context.work_dir)


def expand_step(pattern: str, context: PatternContext, limit: int = 1024) -> list[str]:
    """The absolute names that a step's pattern stands for, at most ``limit``.

    Empty if the step writes no file of its own (``none``, ``all``, ``-``, a task number, no
    pattern). Where a pattern names tasks *and* nodes, every combination is listed, because the
    distribution of tasks is not known here: some of the names may not exist.
    """
    if _without_file(pattern):
        return []
    common = _job_values(context) | {"J": f"{context.job_id}", "s": context.step_id}
    names = (
        _absolute(_expand(pattern, common | place, _UNPADDED, context.step_id), context.work_dir)
        for place in _places(pattern, context)
    )
    return list(dict.fromkeys(itertools.islice(names, limit)))


def _without_file(pattern: str) -> bool:
    lowered = pattern.lower()
    task_number = pattern.isascii() and pattern.isdigit()
    return task_number or lowered in ("", "none") or lowered.startswith(("all", "-"))


def _places(pattern: str, context: PatternContext) -> Iterator[dict[str, str]]:
    """Values of %t, %n and %N for every place that the pattern tells apart."""
    used = {match[3] for match in _CONVERSION.finditer(pattern)}
    tasks = range(context.tasks if "t" in used else 1)
    nodes = list(enumerate(context.nodes)) or [(0, "")]
    for node, name in nodes if used & {"n", "N"} else nodes[:1]:
        for task in tasks:
            yield {"n": str(node), "N": _short(name), "t": str(task)}


def _job_values(context: PatternContext) -> dict[str, str]:
    task = NO_VAL if context.array_task_id is None else context.array_task_id
    array = context.job_id if context.array_task_id is None else context.array_job_id
    return {
        "a": str(task),
        "A": str(array),
        "j": str(context.job_id),
        "u": context.user,
        "x": context.job_name,
    }


def _expand(
    pattern: str, values: Mapping[str, str], unpadded: frozenset[str], step: str | None = None
) -> str:
    """Replace the conversions; a backslash anywhere switches expansion off (fname.c)."""
    if "\\" in pattern:
        return re.sub(r"\\(\\?)", r"\1", pattern)

    def one(match: re.Match[str]) -> str:
        percent, width, letter = match.groups()
        if percent:
            return "%"
        if not letter:
            return width[-1:] or "%"
        text = values[letter]
        if letter not in unpadded:
            text = text.zfill(min(int(width or 0), MAX_WIDTH))
        return f"{text}.{step}" if letter == "J" and step is not None else text

    return _CONVERSION.sub(one, pattern)


def _short(host: str) -> str:
    return host.split(".", 1)[0]


def _absolute(name: str, work_dir: str) -> str:
    return posixpath.join(work_dir or "/", name)
