"""Why ajrd acted on an attempt, or did not: the story that ``ajrd explain`` tells. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ajrd.cli.words import BRANCHES, OUTCOMES, VERBS
from ajrd.detect.classify import classify
from ajrd.model import Anomaly, DecisionState, Directive, JobState, Role, Verdict
from ajrd.policy.directive import NotManaged
from ajrd.policy.evidence import Pulse, Ripeness, weigh
from ajrd.store.history import AttemptHistory, JobHistory
from ajrd.store.records import ActionRecord, AnomalyRecord, DecisionRecord, RequestRecord
from ajrd.text import local_time, printable

#: Evidence that is told line by line; of the rest there is only the number.
_LINES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What the site says. ``rule_source`` gives the software behind a rule, "" if it is unknown."""

    directive: Directive | NotManaged
    ceiling: int
    settle: float
    progress_lag: float
    acts: bool
    now: datetime
    rule_source: Callable[[str], str]
    requests: Sequence[RequestRecord] = field(default=())


def as_text(history: JobHistory, attempts: Sequence[AttemptHistory], site: Background) -> list[str]:
    """The lines of the story of some attempts of a job."""
    lines = [*_heading(history, site)]
    for attempt in attempts:
        lines += ["", *_attempt(history, attempt, site)]
    if not attempts:
        lines += ["", "No attempt of it has started yet."]
    return lines


def why(history: JobHistory, attempt: AttemptHistory, site: Background) -> list[str]:
    """In sentences: why this was decided, or why nothing was."""
    if attempt.decision is None:
        return list(_nothing(history, attempt, site))
    return [*_decided(attempt.decision), *_budget(history, attempt.decision, site)]


def weighed(attempt: AttemptHistory, site: Background) -> tuple[Ripeness, Verdict]:
    """The evidence up to the decision as the service weighs it, less what progress has answered.

    Progress and the end of the attempt count if they came before the decision, and what it names
    is what decided: of earlier progress the store keeps the newest alone.
    """
    decision, end = attempt.decision, attempt.attempt.ended_at
    until = decision.created_at if decision else None
    pulses = [
        Pulse(source.path, source.progress_offset, source.progress_at)
        for source in attempt.sources
        if source.progress_offset is not None
        and source.progress_at is not None
        and (until is None or source.progress_at <= until)
    ]
    ripe = weigh(
        [record.anomaly for record in attempt.anomalies if not _later(record, attempt)],
        pulses,
        ended=end is not None and (until is None or end <= until),
        settle=site.settle,
        progress_lag=site.progress_lag,
    )
    verdict, named = classify(ripe.standing), _named(attempt)
    if named and verdict.finding != named[0].finding:
        return ripe, classify(named)
    return ripe, verdict


def _named(attempt: AttemptHistory) -> list[Anomaly]:
    """The line that the decision names as its cause."""
    row = attempt.decision.anomaly if attempt.decision else None
    return [record.anomaly for record in attempt.anomalies if row and record.id == row]


def _later(record: AnomalyRecord, attempt: AttemptHistory) -> bool:
    """Was it read when everything was decided, as what dying processes print?"""
    decision = attempt.decision
    return decision is not None and record.anomaly.detected_at > decision.created_at


def _heading(history: JobHistory, site: Background) -> Iterator[str]:
    job = history.job
    yield printable(f"Job {job.job_id} {job.name}  user {job.user}  partition {job.partition}")
    if isinstance(site.directive, Directive):
        most = site.directive.max_requeue_times
        times = "at most once" if most == 1 else f"at most {most} times"
        yield f"  its owner asks for: {site.directive.mode}, {times}"
    if job.note:
        yield printable(f"  {'note' if job.managed else 'not managed'}: {job.note}")
    for request in site.requests:
        done = f"{request.state}: {request.result}" if request.result else request.state
        asked = f"{request.by} asked to {request.verb} it ({request.reason})"
        yield printable(f"  {local_time(request.asked_at)} {asked}: {done}")


def _attempt(history: JobHistory, attempt: AttemptHistory, site: Background) -> Iterator[str]:
    record = attempt.attempt
    end = f"to {local_time(record.ended_at)}" if record.ended_at else "and still there"
    when = f"from {local_time(record.started_at)} {end}"
    yield printable(f"Attempt {record.idx}: {record.state} on {record.nodes or '?'}, {when}")
    yield from _evidence(attempt, site)
    yield "  Why"
    yield from (f"    {printable(line)}" for line in why(history, attempt, site))
    if attempt.decision is not None:
        yield from _commands(attempt.decision)


def _evidence(attempt: AttemptHistory, site: Background) -> Iterator[str]:
    records = sorted(attempt.anomalies, key=_order)
    if not records:
        return
    yield "  Evidence, in the order in which it was read"
    ripe, verdict = weighed(attempt, site)
    for record in records[:_LINES]:
        answered = ", answered by progress" if record.anomaly in ripe.vetoed else ""
        later = ", after the decision" if _later(record, attempt) else ""
        yield from _line(record, verdict, answered or later)
    if len(records) > _LINES:
        yield f"    and {len(records) - _LINES} more"
    if verdict.finding is not None:
        yield from _root(verdict, site)


def _order(record: AnomalyRecord) -> tuple[datetime, str, int]:
    return record.anomaly.detected_at, record.anomaly.source, record.anomaly.finding.offset


def _line(record: AnomalyRecord, verdict: Verdict, remark: str) -> Iterator[str]:
    seen, finding = record.anomaly, record.anomaly.finding
    sign = "*" if finding == verdict.finding else " "
    clock = seen.detected_at.astimezone().strftime("%H:%M:%S")
    what = f"{finding.kind} {finding.cause}{_where(seen)}"
    if finding.role is Role.BENIGN:
        what = f"speaks against {what}"
    yield printable(f"  {sign} {clock}  {finding.role:8}  {what}{remark}")
    yield printable(f"                        {_place(seen)}: {finding.text}")


def _where(seen: Anomaly) -> str:
    facts = seen.finding.facts
    told = [f"{name} {facts[name]}" for name in ("rank", "node", "gpu", "xid") if facts.get(name)]
    return f", {' '.join(told)}" if told else ""


def _place(seen: Anomaly) -> str:
    if seen.source == "slurm":
        return "Slurm"
    return seen.source if seen.by_loki else f"{seen.source}:{seen.finding.line_no}"


def _root(verdict: Verdict, site: Background) -> Iterator[str]:
    assert verdict.finding is not None
    source = site.rule_source(verdict.finding.rule)
    yield printable(f"  What broke first (*): {verdict.kind} {verdict.cause}")
    yield printable(f"    because: {verdict.reason}")
    yield printable(f"    rule {verdict.finding.rule}{f', of {source}' if source else ''}")
    if verdict.nodes:
        yield printable(f"    it points at {', '.join(verdict.nodes)}")


def _decided(decision: DecisionRecord) -> Iterator[str]:
    verb, branch = VERBS[decision.verb], BRANCHES.get(decision.branch, decision.branch)
    yield f"decided at {local_time(decision.created_at)} to {verb}: {branch}"
    yield f"its words: {decision.reason}"
    if decision.start_delay:
        yield f"the next attempt was put off by {decision.start_delay:.0f} s"
    if decision.exclude_nodes:
        yield f"the next attempt stays away from {decision.exclude_nodes}"
    if decision.degraded:
        yield "decided and done while the database was away"
    if decision.state is DecisionState.OBSERVED:
        yield "not carried out: ajrd only observes here (recovery.mode)"


def _budget(history: JobHistory, decision: DecisionRecord, site: Background) -> Iterator[str]:
    if not isinstance(site.directive, Directive) or decision.verb == "leave":
        return
    allowed, before = site.directive.max_requeue_times, history.job.restarts_before
    own = decision.used - (decision.verb == "requeue")
    sums = f"{own} used before + 1" if decision.verb == "requeue" else f"{own} used"
    counted = f"; {before} of them before ajrd knew the job" if before else ""
    yield f"budget: {sums} of {allowed} (the site allows {site.ceiling} at most){counted}"


def _commands(decision: DecisionRecord) -> Iterator[str]:
    if decision.actions:
        yield "  What was done"
        yield from (f"    {printable(_command(action))}" for action in decision.actions)
    if decision.state is DecisionState.OPEN:
        yield "  Outcome: not yet, it is being carried out"
        return
    outcome = OUTCOMES.get(decision.outcome, decision.outcome)
    told = f"{decision.state}: {outcome}" if outcome else f"{decision.state}"
    detail = f" ({decision.detail})" if decision.detail else ""
    yield printable(f"  Outcome, {local_time(decision.closed_at)}: {told}{detail}")


def _command(action: ActionRecord) -> str:
    when = action.finished_at or action.claimed_at
    clock = when.astimezone().strftime("%H:%M:%S.%f")[:-3] if when else "            "
    tries = f" ({action.tries} tries)" if action.tries > 1 else ""
    return f"{clock}  {action.state:8}  {action.result or action.step}{tries}"


def _nothing(history: JobHistory, attempt: AttemptHistory, site: Background) -> Iterator[str]:
    """Why nothing was decided; what keeps ajrd from acting at all comes first."""
    job = history.job
    if not job.managed:
        yield f"nothing is decided on a job that is not managed: {job.note}"
        return
    if job.paused:
        yield _paused(site.requests)
    ripe, verdict = weighed(attempt, site)
    if ripe.due is not None and verdict.cause is not None:
        yield from _due(ripe.due, history, site)
    else:
        yield from _no_cause(attempt, ripe)
    if attempt.attempt.log_note:
        yield f"of its logs: {attempt.attempt.log_note}"
    if not site.acts:
        yield "and ajrd only observes here (recovery.mode): it does nothing to jobs"


def _paused(requests: Sequence[RequestRecord]) -> str:
    asked = [r for r in requests if r.verb == "pause" and r.state == "done"]
    who = f" by {asked[-1].by} ({asked[-1].reason})" if asked else ""
    return f"the job is paused{who}: nothing is decided until it is resumed"


def _due(due: datetime, history: JobHistory, site: Background) -> Iterator[str]:
    if site.now < due:
        yield f"a decision is due at {local_time(due)}: more evidence may come until then"
    elif not history.job.paused:
        yield "a decision is due: does a service lead (ajrd status --service)?"


def _no_cause(attempt: AttemptHistory, ripe: Ripeness) -> Iterator[str]:
    if ripe.vetoed:
        yield "the attempt has made progress since: what still works is not ended"
        beats = [s for s in attempt.sources if s.progress_at is not None]
        newest = max(beats, key=lambda s: s.progress_at or s.updated_at)
        yield f"its newest progress, {local_time(newest.progress_at)}: {newest.progress_text}"
    elif attempt.anomalies:
        yield "nothing of the evidence means by itself that the attempt is broken"
    else:
        lines = sum(source.line_no for source in attempt.sources)
        read = f"{lines} lines of {len(attempt.sources)} logs were read"
        yield f"{read if attempt.sources else 'no log was read'}, and nothing pointed at trouble"
    if attempt.attempt.state == JobState.COMPLETED:
        yield "the job ended well"
