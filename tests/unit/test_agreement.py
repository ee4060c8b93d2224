"""Observe mode against what people did: every fate has its view."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.kpi.agreement import Fate, Observed, View, judge, tally
from ajrd.model import Verb
from tests.unit.samples import at

WITHIN = timedelta(hours=1)
LATER = at(7200)


def observed(verb: Verb = Verb.REQUEUE, **changes: Any) -> Observed:
    """A decision at T0 on an attempt that failed."""
    values: dict[str, Any] = {
        "job_id": "7",
        "attempt": 0,
        "partition": "main",
        "verb": verb,
        "kind": "CRASH",
        "cause": "segfault",
        "decided_at": at(0),
        "state": "FAILED",
        "gpus": 8,
        "ended_at": at(5),
    }
    return Observed(**values | changes)


@pytest.mark.parametrize(
    ("seen", "fate", "view"),
    [
        (observed(requeued_at=at(600)), Fate.REQUEUED, View.AGREES),
        (observed(resubmitted_at=at(600)), Fate.RESUBMITTED, View.AGREES),
        (observed(Verb.CHAIN, resubmitted_at=at(600)), Fate.RESUBMITTED, View.AGREES),
        (observed(Verb.STOP, requeued_at=at(600)), Fate.REQUEUED, View.DISAGREES),
        (observed(Verb.STOP), Fate.ENDED, View.AGREES),
        (observed(Verb.STOP, state="CANCELLED"), Fate.CANCELLED, View.AGREES),
        (observed(Verb.STOP, state="RUNNING", ended_at=None), Fate.RUNNING, View.UNKNOWN),
        (observed(state="CANCELLED"), Fate.CANCELLED, View.DISAGREES),
        (observed(), Fate.ENDED, View.UNKNOWN),
        (observed(requeued_at=at(3601)), Fate.ENDED, View.UNKNOWN),
        (observed(state="COMPLETED"), Fate.COMPLETED, View.WRONG),
        (observed(state="RUNNING", ended_at=None, progress_at=at(61)), Fate.PROGRESSED, View.WRONG),
        (observed(progress_at=at(59), requeued_at=at(60)), Fate.REQUEUED, View.AGREES),
        (observed(progress_at=at(300), requeued_at=at(600)), Fate.PROGRESSED, View.WRONG),
    ],
)
def test_a_fate_speaks_for_a_decision_or_against_it(seen: Observed, fate: Fate, view: View) -> None:
    judged = judge(seen, WITHIN, LATER)
    assert (judged.fate, judged.view) == (fate, view)


def test_while_people_have_time_nothing_is_said() -> None:
    assert judge(observed(), WITHIN, at(3599)).view is View.OPEN
    assert judge(observed(), WITHIN, at(3600)).view is View.UNKNOWN


def test_what_would_have_been_saved_is_the_time_until_others_went_on() -> None:
    judged = judge(observed(requeued_at=at(1800)), WITHIN, LATER)
    assert judged.saved == 1800
    assert judged.saved_gpu_hours == 4.0
    assert judge(observed(Verb.STOP, requeued_at=at(1800)), WITHIN, LATER).saved is None


moments = st.none() | st.integers(-7200, 7200).map(at)


@given(
    st.sampled_from([Verb.REQUEUE, Verb.STOP, Verb.CHAIN]),
    st.sampled_from(["FAILED", "COMPLETED", "CANCELLED", "RUNNING"]),
    moments,
    moments,
    moments,
    moments,
)
def test_whatever_the_clocks_said_each_decision_is_counted_once(
    verb: Verb, state: str, ended: Any, progress: Any, requeued: Any, resubmitted: Any
) -> None:
    seen = observed(
        verb,
        state=state,
        ended_at=ended,
        progress_at=progress,
        requeued_at=requeued,
        resubmitted_at=resubmitted,
    )
    judged = judge(seen, WITHIN, LATER)
    assert judged.saved is None or 0 <= judged.saved <= WITHIN.total_seconds()
    sums = tally([judged])
    assert sums.agrees + sums.disagrees + sums.wrong + sums.unknown + sums.open == 1
    assert sums.agreement is None or 0 <= sums.agreement <= 1
