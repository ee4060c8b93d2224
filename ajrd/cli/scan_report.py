"""How ``ajrd scan`` tells what it found: a report for people, JSON lines for programs. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ajrd.model import Finding, Recovery, Verdict
from ajrd.text import printable

_ADVICE = {
    Recovery.REQUEUE: "another attempt makes sense",
    Recovery.REQUEUE_EXCLUDE: "another attempt makes sense, without the node to blame",
    Recovery.STOP: "another attempt would fail again",
    Recovery.NONE: "nothing is wrong",
}
_SHOWN = 200


def finding_json(finding: Finding) -> str:
    """One anomaly as a JSON object."""
    return json.dumps(
        {
            "line": finding.line_no,
            "offset": finding.offset,
            "kind": finding.kind.value,
            "cause": finding.cause,
            "role": finding.role.value,
            "recovery": finding.recovery.value,
            "text": finding.text,
            "facts": dict(finding.facts),
            "rule": finding.rule,
        }
    )


def verdict_json(name: str, verdict: Verdict) -> str:
    """The verdict on a file as a JSON object."""
    values: dict[str, Any] = {
        "kind": verdict.kind.value if verdict.kind else None,
        "cause": verdict.cause,
        "recovery": verdict.recovery.value,
        "line": verdict.finding.line_no if verdict.finding else None,
        "reason": verdict.reason,
    }
    return json.dumps({"verdict": values, "file": name})


def report(
    name: str, verdict: Verdict, found: Sequence[Finding], *, everything: bool
) -> Iterator[str]:
    """The lines of a report; ``everything`` lists each anomaly."""
    shown = printable(name)
    if verdict.finding is None:
        yield f"{shown}: {verdict.reason}{_dismissed(found)}"
    else:
        yield f"{shown}: {verdict.kind} {verdict.cause} -> {verdict.recovery}"
        yield from _verdict(verdict, verdict.finding)
        yield from _others(verdict.finding, found)
    if everything:
        yield from (_one(finding) for finding in found)


def _dismissed(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    return f"; {len(found)} suspicious lines, but the run went on or they break nothing"


def _verdict(verdict: Verdict, finding: Finding) -> Iterator[str]:
    nodes = f" ({', '.join(verdict.nodes)})" if verdict.nodes else ""
    yield f"  advice  {_ADVICE[verdict.recovery]}{nodes}"
    yield f"  why     {verdict.reason}"
    if verdict.facts:
        yield "  facts   " + ", ".join(f"{key} {value}" for key, value in verdict.facts.items())
    width = len(str(finding.line_no + len(finding.after)))
    first = finding.line_no - len(finding.before)
    lines = (*finding.before, finding.text, *finding.after)
    for number, line in enumerate(lines, first):
        mark = ">" if number == finding.line_no else "|"
        yield f"  {number:>{width}} {mark} {line[:_SHOWN]}"


def _others(chosen: Finding, found: Sequence[Finding]) -> Iterator[str]:
    counts = Counter(f"{f.cause} ({f.role})" for f in found if f is not chosen and f != chosen)
    if counts:
        told = ", ".join(f"{count} x {what}" for what, count in counts.most_common(6))
        yield f"  also    {told}"


def _one(finding: Finding) -> str:
    meaning = f"{finding.kind} {finding.cause}, {finding.role}, {finding.recovery}"
    return f"  {finding.line_no}: {meaning} [{finding.rule}]: {finding.text[:_SHOWN]}"
