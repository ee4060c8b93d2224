"""What is counted where it happens: the counters and histograms of one service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from ajrd.model import ActionState, DecisionState, JobState, Kind, Role, Step, Verb
from ajrd.recovery.sequence import Outcome
from ajrd.recovery.tracking import REQUEUED
from ajrd.slurm.base import Refusal
from ajrd.vitals import names
from ajrd.vitals.names import Metric

#: How the requests of :class:`~ajrd.slurm.base.Slurm` are called.
READING = ("cluster", "jobs", "job", "steps")
ACTING = ("requeue_hold", "requeue", "update", "hold", "release", "cancel")
#: Each line of the table in :func:`ajrd.policy.decide.decide`, what is left alone before it, and
#: what somebody asks for.
BRANCHES = (
    (Verb.REQUEUE, "requeue"),
    (Verb.REQUEUE, "operator"),
    (Verb.CHAIN, "singleton"),
    *((Verb.STOP, branch) for branch in ("pointless", "budget_spent", "no_progress")),
    *(
        (Verb.LEAVE, branch)
        for branch in (
            "not_eligible", "completed", "dependent_started", "job_unknown", "requeued_by_others",
            "not_managed",
        )
    ),
)  # fmt: skip
#: What a try that is to be repeated counts as.
AGAIN = "again"
#: The outcome of a decision that observe mode has written down.
NOT_CARRIED_OUT = "not_carried_out"
#: The state of an attempt whose end nobody saw.
UNKNOWN = "UNKNOWN"

# A time of creation beside each counter would double their number for nothing.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Counts:
    """Everything is there with 0 from the start: what appears with a 1 has no increase."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.reloads = self._counter(names.RELOADS)
        self.loop_lag = self._histogram(names.LOOP_LAG)
        self.started = self._counter(names.STARTED)
        self.ended = self._counter(names.ENDED)
        self.anomalies = self._counter(names.ANOMALIES)
        self.decisions = self._counter(names.DECISIONS)
        self.degraded = self._counter(names.DEGRADED)
        self.recoveries = self._counter(names.RECOVERIES)
        self.deciding = self._histogram(names.DECIDING)
        self.killing = self._histogram(names.KILLING)
        self.restarting = self._histogram(names.RESTARTING)
        self.recovering = self._histogram(names.RECOVERING)
        self.actions = self._counter(names.ACTIONS)
        self.retries = self._counter(names.RETRIES)
        self.transactions = self._histogram(names.TRANSACTIONS)
        self.store_errors = self._counter(names.STORE_ERRORS)
        self.requests = self._histogram(names.REQUESTS)
        self.slurm_errors = self._counter(names.SLURM_ERRORS)
        self.refusals = self._counter(names.REFUSALS)
        self._begin_service()
        self._begin_recoveries()

    def transaction(self, writes: bool, seconds: float, error: str) -> None:
        """One transaction is over; ``error`` is "" or why it failed: ``away``, ``statement``."""
        kind = "write" if writes else "read"
        self.transactions.labels(kind).observe(seconds)
        if error:
            self.store_errors.labels(kind, error).inc()

    def _counter(self, metric: Metric) -> Counter:
        return Counter(metric.name, metric.help, metric.labels, registry=self._registry)

    def _histogram(self, metric: Metric) -> Histogram:
        return Histogram(
            metric.name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets
        )

    def _begin_service(self) -> None:
        for result in ("ok", "refused"):
            self.reloads.labels(result)
        for kind in ("read", "write"):
            self.transactions.labels(kind)
            for error in ("away", "statement"):
                self.store_errors.labels(kind, error)
        for operation in (*READING, *ACTING):
            self.requests.labels(operation)
            self.slurm_errors.labels(operation)
        for operation in ACTING:
            for reason in Refusal:
                self.refusals.labels(operation, reason.value)

    def _begin_recoveries(self) -> None:
        for kind in Kind:
            for role in Role:
                self.anomalies.labels(kind.value, role.value)
        for verb, branch in BRANCHES:
            self.decisions.labels(verb.value, branch)
        for attempt_state in (*(s for s in JobState if s.ended), REQUEUED, UNKNOWN):
            self.ended.labels(str(attempt_state))
        self.recoveries.labels(Verb.LEAVE.value, "converged", Outcome.LEFT_ALONE.value)
        for verb in (Verb.REQUEUE, Verb.STOP, Verb.CHAIN):
            self.recoveries.labels(verb.value, DecisionState.OBSERVED.value, NOT_CARRIED_OUT)
            for outcome in Outcome:
                for state in (DecisionState.CONVERGED, DecisionState.ABANDONED):
                    self.recoveries.labels(verb.value, state.value, outcome.value)
        for step in Step:
            self.retries.labels(step.value)
            for result in (ActionState.DONE, ActionState.SKIPPED, ActionState.FAILED, AGAIN):
                self.actions.labels(step.value, str(result))
