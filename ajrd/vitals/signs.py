"""What is read when somebody asks: the state of the running parts as metrics.

Everything here is in memory, so an answer waits for nothing and is the same whether or not Slurm
and the database answer.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ajrd import __version__
from ajrd.errors import LokiDenied, LokiRefused, LokiTooMuch, LokiUnavailable
from ajrd.hardware.health import Drained, HandoffHealth, Question, Reply
from ajrd.journal import GRAVE
from ajrd.loki.health import Health, State
from ajrd.model import JobState
from ajrd.notify.health import EndpointHealth, Outcome
from ajrd.recovery.leadership import Leadership
from ajrd.recovery.watched import Watched
from ajrd.slurm.holds import own_hold
from ajrd.store.store import Store
from ajrd.vitals import names
from ajrd.vitals.names import Metric, Type
from ajrd.vitals.parts import Leading, Parts, away_for
from ajrd.vitals.slurm import MeteredSlurm

Family = GaugeMetricFamily | CounterMetricFamily
#: Label values, in the order of the labels, and the number.
Sample = tuple[Sequence[str], float]

_LOKI_ERRORS = tuple(
    error.__name__ for error in (LokiUnavailable, LokiTooMuch, LokiRefused, LokiDenied)
)


def family(metric: Metric, *samples: Sample) -> Family:
    """One metric with its numbers."""
    make = CounterMetricFamily if metric.type is Type.COUNTER else GaugeMetricFamily
    made = make(metric.name, metric.help, labels=metric.labels)
    for values, number in samples:
        made.add_metric(values, number)
    return made


def number(metric: Metric, value: float) -> Family:
    """A metric without labels."""
    return family(metric, ((), value))


class Signs(Collector):
    """Looks at the parts of one service."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def describe(self) -> Iterator[Family]:
        """No names: what the leader alone tells comes and goes."""
        yield from ()

    def collect(self) -> Iterator[Family]:
        """Everything that is known at this moment."""
        parts = self._parts
        yield from _process(parts)
        yield number(names.LEADER, float(parts.leading is not None))
        if parts.leadership is not None and parts.store is not None:
            yield from _lease(parts.leadership, parts.store, leads=parts.leading is not None)
        if parts.store is not None:
            yield from _store(parts.store)
        if parts.slurm is not None:
            yield from _slurm(parts.slurm)
        if parts.leading is not None:
            yield from _leading(parts.leading, parts.clock())


def _process(parts: Parts) -> Iterator[Family]:
    yield family(names.BUILD, ((__version__, platform.python_version()), 1.0))
    yield family(names.MODE, ((parts.config.recovery.mode.value,), 1.0))
    if parts.judgement is not None:
        yield number(names.RULES, len(parts.judgement.catalogue.rules))
        yield family(names.RULES_DIGEST, ((parts.judgement.digest[:12],), 1.0))
    yield number(names.RELOADED, float(parts.reload_ok))
    yield family(names.MESSAGES, *(((level,), parts.recent.count[level]) for level in GRAVE))


def _lease(leadership: Leadership, store: Store, *, leads: bool) -> Iterator[Family]:
    """Who was replaced renews nothing any more: the age of his last renewal is nobody's news."""
    yield number(names.MAY_ACT, float(leadership.may_act()))
    yield number(names.EPOCH, store.epoch)
    age = leadership.renewal_age
    if leads and age != float("inf"):
        yield number(names.RENEWAL_AGE, age)


def _store(store: Store) -> Iterator[Family]:
    away = away_for(store)
    yield number(names.STORE_UP, float(away is None))
    yield number(names.STORE_AWAY, away or 0.0)


def _slurm(slurm: MeteredSlurm) -> Iterator[Family]:
    yield number(names.SLURM_UP, float(slurm.up))
    yield number(names.SLURM_SILENCE, slurm.silence)
    if slurm.version:
        yield family(names.SLURM_VERSION, ((slurm.version,), 1.0))


def _leading(leading: Leading, now: datetime) -> Iterator[Family]:
    watched = leading.recovery.watched
    yield _jobs(watched)
    yield number(names.DRIVING, leading.recovery.driving)
    yield from _holds(watched, now)
    if leading.files is not None:
        yield from _files(leading)
    if leading.loki is not None:
        yield from _loki(leading.loki.health)
    yield from _webhooks(leading.endpoints, now)
    if leading.handoff is not None:
        yield from _handoff(leading.handoff, now)


def _jobs(watched: Collection[Watched]) -> Family:
    count = Counter((one.record.state, one.record.managed) for one in watched)
    every = {(state.value, managed) for state in JobState for managed in (True, False)}
    keys = sorted(every | set(count))
    samples = (((key[0], str(key[1]).lower()), count[key]) for key in keys)
    return family(names.JOBS, *samples)


def _holds(watched: Collection[Watched], now: datetime) -> Iterator[Family]:
    """The submit time of a job that waits after a requeue is the end of its kill."""
    holds = [hold for one in watched if (hold := own_hold(one.seen)) is not None]
    ages = ((now - hold.submit_time).total_seconds() for hold in holds)
    late = ((now - hold.deadline).total_seconds() for hold in holds)
    yield number(names.HOLDS, len(holds))
    yield number(names.HOLD_AGE, max(0.0, *ages, 0.0))
    yield number(names.HOLD_LATE, max(0.0, *late, 0.0))


def _files(leading: Leading) -> Iterator[Family]:
    assert leading.files is not None
    health = leading.files.files_health()
    yield number(names.FILES, health.followed)
    yield number(names.FILES_WAITING, health.waiting)
    yield number(names.FILES_UNREADABLE, health.unreadable)
    yield number(names.FILES_UNCERTAIN, health.uncertain)
    yield number(names.GIVEN_UP, health.given_up)
    yield number(names.READ_BYTES, health.bytes)
    yield number(names.READ_LINES, health.lines)
    yield number(names.LOG_LAG, health.lag)
    yield number(names.UNKEPT, health.unkept)


def _loki(tenants: Sequence[Health]) -> Iterator[Family]:
    yield family(
        names.LOKI_STATE,
        *(
            ((one.tenant, state.value), float(state is one.state))
            for one in tenants
            for state in State
        ),
    )
    yield family(names.LOKI_LAG, *(((one.tenant,), one.lag) for one in tenants))
    yield family(names.LOKI_REQUESTS, *(((one.tenant,), one.requests) for one in tenants))
    yield family(names.LOKI_ENTRIES, *(((one.tenant,), one.entries) for one in tenants))
    yield family(names.LOKI_UNMANAGED, *(((one.tenant,), one.unmanaged) for one in tenants))
    yield family(names.LOKI_EARLY, *(((one.tenant,), one.early) for one in tenants))
    yield family(names.LOKI_FOUND, *(((one.tenant,), one.found) for one in tenants))
    yield family(names.LOKI_SWEPT, *(((one.tenant,), one.swept) for one in tenants))
    yield family(names.LOKI_DROPPED, *(((one.tenant,), one.dropped) for one in tenants))
    yield family(names.LOKI_TAILS, *(((one.tenant,), one.tails) for one in tenants))
    yield family(names.LOKI_UNSPLIT, *(((one.tenant,), one.unsplit) for one in tenants))
    yield family(
        names.LOKI_ERRORS,
        *(
            ((one.tenant, error), one.errors[error])
            for one in tenants
            for error in sorted({*_LOKI_ERRORS, *one.errors})
        ),
    )


def _webhooks(endpoints: Sequence[EndpointHealth], now: datetime) -> Iterator[Family]:
    yield family(
        names.WEBHOOKS,
        *(
            ((one.endpoint, outcome.value), one.tries[outcome])
            for one in endpoints
            for outcome in Outcome
        ),
    )
    yield family(names.WEBHOOK_LAG, *(((one.endpoint,), one.lag(now)) for one in endpoints))


def _handoff(health: HandoffHealth, now: datetime) -> Iterator[Family]:
    if health.reports:
        asked = ((question, reply) for question in Question for reply in Reply)
        yield family(names.HARDWARE, *((each, health.requests[each]) for each in asked))
        yield number(names.HARDWARE_OPEN, health.open)
        yield number(names.HARDWARE_FAILING, health.failing(now))
    if health.budget is not None:
        yield family(names.DRAINS, *(((how.value,), health.drains[how]) for how in Drained))
        yield number(names.DRAINED, health.drained)
        yield number(names.DRAIN_BUDGET, health.budget)
