"""Finding the log files of a running job, within bounds.

The sources are asked in the order of their authority: what Slurm says of steps, of the batch
script, what the owner names in the directive, the open files of an srun on this host, reports of
the step hook, and last a look into the working folders. Every file is looked at with the rights
of the job's owner. What had to be given up is told, because a log that is not read protects
nobody. :func:`find_logs` blocks and belongs in a thread that may hang (:mod:`ajrd.logs.lanes`).
"""

from __future__ import annotations

import fnmatch
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ClusterShell.NodeSet import NodeSet, NodeSetException

from ajrd.logs.asowner import as_owner
from ajrd.logs.naming import carries, marks_of
from ajrd.logs.procfs import files_written_by_srun, is_this_host, patterns_of_srun
from ajrd.model import Directive, JobInfo, LogFile, LogOrigin, StepInfo
from ajrd.slurm.patterns import PatternContext, expand_batch, expand_step

_GLOB = frozenset("*?[")
_REPORT_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryLimits:
    """``entries`` and ``seconds`` hold for each folder; ``report_bytes`` for each report."""

    files: int = 256
    entries: int = 20_000
    seconds: float = 1.0
    report_bytes: int = 64 * 1024
    report_paths: int = 64


@dataclass(frozen=True, slots=True)
class Found:
    """The log files, each once, and sentences about what could not be looked at."""

    files: tuple[LogFile, ...]
    gave_up: tuple[str, ...] = ()


@dataclass(slots=True)
class _Search:
    """One round of discovery for one job."""

    job: JobInfo
    since: datetime
    limits: DiscoveryLimits
    context: PatternContext
    marks: tuple[str, ...]
    files: dict[object, LogFile] = field(default_factory=dict)
    gave_up: dict[str, None] = field(default_factory=dict)

    def give_up(self, reason: str) -> None:
        self.gave_up[reason] = None

    def add(self, path: str, origin: LogOrigin) -> None:
        """One path; a file that does not exist yet is as good as one that does."""
        if "\0" in path:
            return
        try:
            seen = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            self._keep(os.path.normpath(path), path, origin)
        except OSError as error:
            self.give_up(f"{path}: {error.strerror}")
            self._keep(os.path.normpath(path), path, origin)
        else:
            if stat.S_ISREG(seen.st_mode):
                self._keep((seen.st_dev, seen.st_ino), path, origin)
            else:
                self.give_up(f"{path} is not a regular file")

    def _keep(self, identity: object, path: str, origin: LogOrigin) -> None:
        if identity in self.files:
            return
        if len(self.files) >= self.limits.files:
            self.give_up(f"more than {self.limits.files} log files")
            return
        self.files[identity] = LogFile(path, self.job.uid, self.job.gid, origin)

    def entries(self, folder: str) -> Iterator[os.DirEntry[str]]:
        """The entries of a folder, as far as the limits go."""
        until = time.monotonic() + self.limits.seconds
        try:
            with os.scandir(folder) as listing:
                for number, entry in enumerate(listing):
                    if number >= self.limits.entries or time.monotonic() > until:
                        self.give_up(f"{folder} is too large to be searched")
                        return
                    yield entry
        except OSError as error:
            self.give_up(f"{folder}: {error.strerror}")


def find_logs(
    job: JobInfo,
    steps: Sequence[StepInfo],
    directive: Directive,
    *,
    since: datetime,
    report_dir: str | None,
    limits: DiscoveryLimits | None = None,
) -> Found:
    """The logs of ``job`` as far as they are known now; ``since`` is the start of the attempt.

    The same file under two names is found once, under the name of the better authority.
    """
    search = _Search(job, since, limits or DiscoveryLimits(), _context(job), marks_of(job))
    with as_owner(job.uid, job.gid):
        _from_steps(search, steps)
        _from_batch(search)
        _from_directive(search, directive)
        _from_srun(search, steps)
    if report_dir is not None:
        _from_reports(search, report_dir)
    with as_owner(job.uid, job.gid):
        _from_folders(search)
    return Found(tuple(search.files.values()), tuple(search.gave_up))


def _context(job: JobInfo) -> PatternContext:
    head, _, task = job.job_id.partition("_")
    in_array = job.array_job_id is not None and task.isdigit()
    return PatternContext(
        job_id=job.raw_id,
        job_name=job.name,
        user=job.user,
        work_dir=job.work_dir or "/",
        array_job_id=int(head) if in_array else None,
        array_task_id=int(task) if in_array else None,
        nodes=_expand_nodes(job.nodes),
    )


def _expand_nodes(nodes: str) -> tuple[str, ...]:
    try:
        return tuple(NodeSet(nodes))
    except NodeSetException:
        return ()


def _absolute(search: _Search, path: str) -> str:
    return os.path.join(search.job.work_dir or "/", path)


def _from_steps(search: _Search, steps: Sequence[StepInfo]) -> None:
    for step in steps:
        for path in (step.std_out, step.std_err):
            if path:
                search.add(_absolute(search, path), LogOrigin.STEP)
        _from_patterns(search, step, step.patterns)


def _from_batch(search: _Search) -> None:
    """Some versions of Slurm show the pattern in place of the name; a name stays as it is."""
    for path in (search.job.std_out, search.job.std_err):
        if path:
            search.add(expand_batch(path, search.context), LogOrigin.BATCH)


def _from_directive(search: _Search, directive: Directive) -> None:
    for pattern in directive.log_paths:
        for path in expand_step(pattern, search.context, search.limits.files + 1):
            if _GLOB.intersection(os.path.basename(path)):
                _from_glob(search, path)
            else:
                search.add(path, LogOrigin.DIRECTIVE)


def _from_glob(search: _Search, path: str) -> None:
    """Wildcards in the last component; what was not written in this attempt is another's."""
    folder, pattern = os.path.split(path)
    for entry in search.entries(folder):
        if fnmatch.fnmatchcase(entry.name, pattern) and _is_recent(search, entry):
            search.add(entry.path, LogOrigin.DIRECTIVE)


def _from_srun(search: _Search, steps: Sequence[StepInfo]) -> None:
    for step in steps:
        if step.srun_pid > 0 and is_this_host(step.srun_host):
            for path in files_written_by_srun(step.srun_pid, search.job.uid):
                search.add(path, LogOrigin.STEP)
            patterns = patterns_of_srun(step.srun_pid, search.job.uid)
            _from_patterns(search, step, patterns)


def _from_patterns(search: _Search, step: StepInfo, patterns: Sequence[str]) -> None:
    """One file for each task or node of a step; srun or slurmstepd has opened them."""
    nodes = _expand_nodes(step.nodes)
    context = replace(search.context, step_id=step.step_id, nodes=nodes, tasks=step.tasks)
    if search.job.components and step.job_id.isdigit():
        context = replace(context, job_id=int(step.job_id))
    for pattern in patterns:
        for path in expand_step(pattern, context, search.limits.files + 1):
            search.add(path, LogOrigin.STEP)


def _from_reports(search: _Search, report_dir: str) -> None:
    names = [entry.name for entry in search.entries(report_dir)]
    for name in sorted(names):
        if name.partition(".")[0] == str(search.job.raw_id):
            for pattern in _read_report(search, os.path.join(report_dir, name)):
                _add_reported(search, pattern)


def _add_reported(search: _Search, pattern: str) -> None:
    """The hook leaves to us what it cannot know: names of nodes, numbers of tasks."""
    with as_owner(search.job.uid, search.job.gid):
        for path in expand_step(pattern, search.context, search.limits.report_paths):
            search.add(path, LogOrigin.HOOK)


def _read_report(search: _Search, path: str) -> list[str]:
    """Anybody may write into the folder: a report of another user does not count."""
    try:
        with as_owner(search.job.uid, search.job.gid):
            descriptor = os.open(path, _REPORT_FLAGS)
    except OSError as error:
        search.give_up(f"report {path}: {error.strerror}")
        return []
    with open(descriptor, "rb") as report:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid not in (search.job.uid, 0):
            search.give_up(f"report {path} is not a file of the job's owner")
            return []
        text = report.read(search.limits.report_bytes + 1)
    if len(text) > search.limits.report_bytes:
        search.give_up(f"report {path} is too long")
        return []
    lines = os.fsdecode(text).split("\n")
    return [line for line in lines if line.startswith("/")][: search.limits.report_paths]


def _from_folders(search: _Search) -> None:
    """Files that carry the job's number, in its working folder and in that of its output."""
    folders = [search.job.work_dir]
    if search.job.std_out:
        folders.append(os.path.dirname(expand_batch(search.job.std_out, search.context)))
    for folder in dict.fromkeys(os.path.normpath(f) for f in folders if f.startswith("/")):
        for entry in search.entries(folder):
            if carries(entry.name, search.marks) and _is_our_log(search, entry):
                search.add(entry.path, LogOrigin.SEARCH)


def _is_our_log(search: _Search, entry: os.DirEntry[str]) -> bool:
    try:
        seen = entry.stat(follow_symlinks=False)
        mine = stat.S_ISREG(seen.st_mode) and seen.st_uid == search.job.uid
        return mine and _is_recent(search, entry) and _is_text(entry.path)
    except OSError:
        return False


def _is_recent(search: _Search, entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat().st_mtime >= search.since.timestamp()
    except OSError:
        return False


def _is_text(path: str) -> bool:
    """A checkpoint may carry the job's number too; unlike a log it has NUL bytes early on."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        return b"\0" not in os.pread(descriptor, 1024, 0)
    finally:
        os.close(descriptor)
