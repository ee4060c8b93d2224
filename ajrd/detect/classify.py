"""From all evidence of an attempt to one verdict: what broke first. Pure.

One failure prints many lines: the root, what other ranks make of it (cascade), what dying
processes say (teardown). Evidence is ranked by how near to the root it can stand (``_GRADES``,
read from top to bottom; the first line that fits counts), and within a grade by time. A line of
the machine or of the scheduler outranks a program's, whoever spoke first: programs die a moment
before the kernel's line about the reason has been written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from ajrd.model import Anomaly, Finding, Kind, Recovery, Role, Verdict

#: Node and GPU hardware, as the kernel, the driver or Slurm report it; of ``oom_gpu`` only that a
#: stranger holds the memory, which stands on a line after the error itself.
MACHINE = frozenset(
    {"gpu_ecc", "gpu_lost", "kernel_panic", "node_fail", "nvlink_error", "oom_gpu", "xid"}
)
#: Somebody above the program ended it.
LIMITS = frozenset({"slurm_preempted", "slurm_timelimit"})
#: What programs come to for many reasons: yields to every plain root.
WEAK = frozenset({"abort", "python_exception"})
#: How launchers sum up a failure whose reason stands elsewhere.
SUMMARY = frozenset({"abort", "app_error", "mpi_abort", "oom_host"})
#: Errors that programs print when they die of them and when they catch them: never begin
#: anything, yet explain an end better than any summary.
LAST_WORDS = frozenset(
    {
        "checkpoint_error",
        "container",
        "loss_nan",
        "network_external",
        "python_exception",
        "rendezvous",
    }
)
#: Lines within which a benign line takes away what it has announced.
_EXCUSED_LINES = 60
#: Causes of which one announcement excuses everything that follows: one kill, many tasks.
_ALL_EXCUSED = frozenset({"oom_host"})
#: Causes that pass: a link is up again, a server answers, a licence is given after all.
_RECOVERS, _GRANTED = frozenset({"ib_network", "storage"}), frozenset({"license_port"})


@dataclass(frozen=True, slots=True)
class _Grade:
    """One line of the ranking; ``basis`` is the reason that a verdict gives."""

    basis: str
    fits: Callable[[Finding], bool]


def _machine(finding: Finding) -> bool:
    """Xids of the application (13, 31, 43) are no sign of a bad machine: they exclude no node."""
    root = finding.role is Role.ROOT
    return root and finding.cause in MACHINE and finding.recovery is Recovery.REQUEUE_EXCLUDE


def _limit(finding: Finding) -> bool:
    return finding.cause in LIMITS or (finding.cause == "oom_host" and finding.role is Role.ROOT)


def _plain_root(finding: Finding) -> bool:
    return finding.role is Role.ROOT and finding.cause not in WEAK


def _first_error(finding: Finding) -> bool:
    """An exception, an abort or a collective that failed: whichever came first."""
    if finding.role is Role.CASCADE:
        return finding.cause not in SUMMARY
    return finding.role is Role.ROOT or finding.cause in LAST_WORDS


def _fatal_message(finding: Finding) -> bool:
    """A solver's own fatal message, in contrast to an exit code that somebody saw."""
    return finding.cause == "app_error" and finding.kind is Kind.CRASH


def _summary(finding: Finding) -> bool:
    return finding.role is Role.CASCADE


_GRADES = (
    _Grade("the machine failed", _machine),
    _Grade("a limit was met", _limit),
    _Grade("the first root", _plain_root),
    _Grade("the first error", _first_error),
    _Grade("the program's own message", _fatal_message),
    _Grade("a summary, the reason behind it is not known", _summary),
    _Grade("what ended it is not known", lambda _finding: True),
)


def classify(anomalies: Sequence[Anomaly]) -> Verdict:
    """What broke first. ``cause`` None and Recovery.NONE: nothing of it means trouble."""
    serious = [anomaly for anomaly in _unexcused(anomalies) if _is_serious(anomaly.finding)]
    if not serious:
        return Verdict(None, None, Recovery.NONE, "no sign of trouble")
    first = min(serious, key=_order)
    finding = first.finding
    return Verdict(
        kind=finding.kind,
        cause=finding.cause,
        recovery=finding.recovery,
        reason=f"{_GRADES[_grade(finding)].basis} ({_place(finding)})",
        finding=finding,
        nodes=tuple(dict.fromkeys(_nodes(serious, finding))),
        facts=_facts(serious, finding),
    )


def _unexcused(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    """What no benign line of the same log and cause takes away.

    A benign line that announces ("Exception ignored in: ...", "srun: forcing job termination")
    excuses the teardown that follows it within ``_EXCUSED_LINES``: the next word of it, or all for
    the causes in ``_ALL_EXCUSED``. One that says that it works again takes back what came before.
    """
    standing: list[Anomaly] = []
    announced: dict[tuple[str, str], int] = {}
    for anomaly in sorted(anomalies, key=_reading_order):
        finding = anomaly.finding
        key = (anomaly.source, finding.cause)
        if finding.role is Role.BENIGN:
            announced[key] = finding.line_no
            standing = [one for one in standing if not _taken_back(one, key)]
        elif not _excused(finding, key, announced):
            standing.append(anomaly)
    return standing


def _taken_back(anomaly: Anomaly, key: tuple[str, str]) -> bool:
    """A server that answers again says nothing of an eviction before; a licence given, all."""
    finding = anomaly.finding
    if (anomaly.source, finding.cause) != key:
        return False
    teardown = finding.cause in _RECOVERS and finding.role is Role.TEARDOWN
    return teardown or finding.cause in _GRANTED


def _reading_order(anomaly: Anomaly) -> tuple[str, int, bool]:
    return anomaly.source, anomaly.finding.offset, anomaly.finding.role is not Role.BENIGN


def _excused(finding: Finding, key: tuple[str, str], announced: dict[tuple[str, str], int]) -> bool:
    if finding.role is not Role.TEARDOWN or key not in announced:
        return False
    said = announced[key] if finding.cause in _ALL_EXCUSED else announced.pop(key)
    return finding.line_no - said <= _EXCUSED_LINES


def _is_serious(finding: Finding) -> bool:
    return finding.role is not Role.BENIGN and finding.recovery is not Recovery.NONE


def _grade(finding: Finding) -> int:
    return next(number for number, grade in enumerate(_GRADES) if grade.fits(finding))


def _order(anomaly: Anomaly) -> tuple[int, datetime, str, int, bool]:
    """Grade, then time; lines of one file that were read together, by their place in it.

    Of two rules that speak of one line, the one with the more telling cause counts.
    """
    finding = anomaly.finding
    weak = finding.cause in WEAK | SUMMARY
    return _grade(finding), anomaly.detected_at, anomaly.source, finding.offset, weak


def _place(finding: Finding) -> str:
    return f"rule {finding.rule}, line {finding.line_no}" if finding.line_no else finding.text


def _facts(anomalies: Iterable[Anomaly], chosen: Finding) -> dict[str, str]:
    """What the deciding line says, completed by what others of its cause say, nearest first."""
    facts = dict(chosen.facts)
    for finding in (anomaly.finding for anomaly in sorted(anomalies, key=_order)):
        if finding.cause == chosen.cause:
            facts = dict(finding.facts) | facts
    return facts


def _nodes(anomalies: Iterable[Anomaly], chosen: Finding) -> Iterator[str]:
    """The nodes named by the evidence of the same cause; none unless a node is to blame."""
    if chosen.recovery is not Recovery.REQUEUE_EXCLUDE:
        return
    for finding in (anomaly.finding for anomaly in anomalies):
        same = (finding.cause, finding.recovery) == (chosen.cause, chosen.recovery)
        if same and finding.facts.get("node"):
            yield finding.facts["node"]
