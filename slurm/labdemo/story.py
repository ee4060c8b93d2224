"""The live timeline: what the store and Slurm show, told in the order in which it happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ajrd.model import ActionState, Step, Verb
from ajrd.store.history import AttemptHistory, JobHistory
from ajrd.store.records import DecisionRecord
from ajrd.text import printable

#: One line of the story: when, what, and how it is drawn.
Line = tuple[datetime, str, str]

_MEANING = {
    Step.ANNOUNCE: "the reason goes to AdminComment",
    Step.REQUEUE_HOLD: "the attempt is killed, the same job is requeued and held",
    Step.UPDATE: "it may start at once, not in two minutes",
    Step.RELEASE: "released",
    Step.CANCEL: "the attempt is killed and not requeued",
    Step.RELEASE_NEXT: "the next job of the chain is released",
}
_ENDINGS = {
    Verb.REQUEUE: "the recovery is complete: the next attempt was seen to run",
    Verb.STOP: "the job is stopped; there is no further requeue",
    Verb.CHAIN: "the next job of the chain has taken over",
}


class Story:
    """Tells each thing once, and never goes back in time: Slurm's times are whole seconds."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._latest: datetime | None = None

    def news(self, history: JobHistory) -> Iterator[Line]:
        """What has not been told yet, in the order of time."""
        fresh = {key: line for key, line in _all(history) if key not in self._told}
        self._told.update(fresh)
        for when, text, style in sorted(fresh.values(), key=lambda line: line[0]):
            self._latest = max(when, self._latest or when)
            yield self._latest, text, style


def _all(history: JobHistory) -> Iterator[tuple[str, Line]]:
    for attempt in history.attempts:
        for key, line in _attempt(attempt):
            yield f"{attempt.attempt.idx}.{key}", line


def _attempt(attempt: AttemptHistory) -> Iterator[tuple[str, Line]]:
    record, cause = attempt.attempt, attempt.deciding()
    yield "start", (record.started_at, f"attempt {record.idx} runs on {record.nodes}", "green")
    if cause is not None:
        finding = cause.anomaly.finding
        where = f"{cause.anomaly.source.rpartition('/')[2]}:{finding.line_no}"
        what = f"▲ {finding.kind} {finding.cause}: {printable(finding.text)}"
        yield "anomaly", (cause.anomaly.detected_at, what, "red")
        yield "where", (cause.anomaly.detected_at, f"  in {where}", "dim")
    if attempt.decision is not None:
        yield from _decision(attempt.decision)


def _decision(decision: DecisionRecord) -> Iterator[tuple[str, Line]]:
    text = f"decision: {decision.verb}: {decision.reason}"
    yield "decision", (decision.created_at, text, "cyan")
    for action in decision.actions:
        if action.finished_at and action.state is ActionState.DONE:
            command = " ".join(action.result.split(" ")[:2])
            text = f"  {command}: {_MEANING[action.step]}"
            yield action.step, (action.finished_at, text, "default")
    if decision.closed_at is not None:
        yield "closed", (decision.closed_at, _ENDINGS[decision.verb], "green")
