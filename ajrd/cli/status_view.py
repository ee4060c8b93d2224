"""How the history of a job is shown: as text for people, as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from ajrd.cli.table import columns
from ajrd.store.history import AttemptHistory, JobHistory
from ajrd.store.records import ActionRecord, AnomalyRecord, DecisionRecord
from ajrd.text import elapsed, local_time, printable, short_time

_HEADER = ("ATTEMPT", "STATE", "NODES", "START", "ELAPSED", "ANOMALY", "DECISION", "OUTCOME")


_ELASTIC = ("NODES", "ANOMALY", "OUTCOME")
#: Columns of a terminal from which on times and outcomes are shown in full.
_WIDE = 110


def as_text(
    history: JobHistory, *, room: int | None = None, paint: Callable[[str], str] = str
) -> list[str]:
    """The lines that ``ajrd status`` prints; with ``room`` the table is cut to so many columns."""
    narrow = room is not None and room < _WIDE
    rows = (_row(attempt, narrow=narrow) for attempt in history.attempts)
    table = columns(_HEADER, rows, room=room, elastic=_ELASTIC, paint=paint)
    lines = [*_heading(history), "", *table]
    for attempt in history.attempts:
        lines += _details(attempt)
    return lines


def _heading(history: JobHistory) -> Iterator[str]:
    job = history.job
    yield printable(f"Job {job.job_id} {job.name}  user {job.user}  partition {job.partition}")
    state = "gone from Slurm" if job.closed else f"{job.state} ({job.reason})"
    yield printable(f"  {state}, submitted {local_time(job.first_submit_time)}")
    yield printable(f"  {'managed' if job.managed else 'not managed'}{_colon(job.note)}")
    if job.paused:
        yield f"  paused: nothing is done to it until it is resumed (ajrd resume {job.job_id})"


def _colon(note: str) -> str:
    return f": {note}" if note else ""


def _row(history: AttemptHistory, *, narrow: bool) -> tuple[object, ...]:
    attempt, found, decision = history.attempt, history.deciding(), history.decision
    end = attempt.ended_at
    return (
        attempt.idx,
        attempt.state,
        attempt.nodes or "-",
        short_time(attempt.started_at) if narrow else local_time(attempt.started_at),
        elapsed((end - attempt.started_at).total_seconds()) if end else "running",
        _anomaly_title(found) if found else "-",
        decision.verb if decision else "-",
        _outcome(decision, narrow=narrow) if decision else "-",
    )


def _anomaly_title(record: AnomalyRecord) -> str:
    finding = record.anomaly.finding
    rank = finding.facts.get("rank")
    return f"{finding.kind} {finding.cause}" + (f" rank {rank}" if rank else "")


def _outcome(decision: DecisionRecord, *, narrow: bool = False) -> str:
    if narrow or not decision.outcome:
        return decision.outcome or str(decision.state)
    return f"{decision.state}: {decision.outcome}"


def _details(history: AttemptHistory) -> Iterator[str]:
    found, decision = history.deciding(), history.decision
    log_note = history.attempt.log_note
    if found or decision or history.sources or log_note:
        yield ""
        yield f"Attempt {history.attempt.idx}"
    if decision:
        without = " (without the database)" if decision.degraded else ""
        yield printable(f"  decision  {decision.verb}: {decision.reason}{without}")
        if decision.detail:
            yield printable(f"            {decision.detail}")
        yield printable(f"  outcome   {_outcome(decision)}")
    if found:
        yield from _evidence(found, len(history.anomalies))
    for action in decision.actions if decision else ():
        yield printable(f"  action    {_action(action)}")
    for source in history.sources:
        lines = "" if source.path.startswith("loki:") else f" ({source.line_no} lines read)"
        yield printable(f"  log       {source.path}{lines}")
    if log_note:
        yield printable(f"  logs      {log_note}")


def _evidence(record: AnomalyRecord, total: int) -> Iterator[str]:
    seen = record.anomaly
    more = f", {total - 1} more" if total > 1 else ""
    line = "" if seen.by_loki else f" line {seen.finding.line_no}"
    where = "Slurm" if seen.source == "slurm" else f"{seen.source}{line}"
    yield printable(f"  evidence  {where}, {local_time(seen.detected_at)}{more}")
    yield from (f"            | {printable(line)}" for line in seen.finding.before)
    yield f"            > {printable(seen.finding.text)}"
    yield from (f"            | {printable(line)}" for line in seen.finding.after)


def _action(action: ActionRecord) -> str:
    when = action.finished_at or action.claimed_at
    clock = when.astimezone().strftime("%H:%M:%S.%f")[:-3] if when else "-"
    return f"{clock} {action.state} {action.result or action.step}"


def as_json(history: JobHistory) -> dict[str, Any]:
    """The object that ``ajrd status --json`` prints; times in ISO 8601, UTC."""
    return {
        "job": plain(history.job),
        "attempts": [_attempt_json(attempt) for attempt in history.attempts],
        "events": [plain(event) for event in history.events],
    }


def _attempt_json(history: AttemptHistory) -> dict[str, Any]:
    decision = history.decision
    return {
        **plain(history.attempt),
        "anomalies": [_anomaly_json(record) for record in history.anomalies],
        "decision": plain(decision) if decision else None,
        "logs": [plain(source) for source in history.sources],
    }


def _anomaly_json(record: AnomalyRecord) -> dict[str, Any]:
    seen = record.anomaly
    place = {"id": record.id, "source": seen.source, "detected_at": seen.detected_at}
    return {key: plain(value) for key, value in (place | asdict(seen.finding)).items()}


def plain(value: Any) -> Any:
    """A value of the store as JSON has it: times in ISO 8601, UTC."""
    match value:
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case _ if is_dataclass(value) and not isinstance(value, type):
            return plain(asdict(value))
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return value
