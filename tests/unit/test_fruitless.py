"""When is another attempt pointless because the last ones got no further?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.policy.fruitless import LONG, Past, failed_in_a_row, fruitless


def past(cause: str = "segfault", step: int | None = None, **changes: object) -> Past:
    values: dict[str, object] = {"progressed": step is not None, "seconds": 30.0}
    return Past(cause, step, **values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attempts", "row"),
    [
        pytest.param([past("")], 1, id="the first failure, nothing printed"),
        pytest.param([past(), past("")], 2, id="twice the same, nothing printed"),
        pytest.param([past("xid"), past("")], 1, id="another cause before"),
        pytest.param([past(step=500), past("", step=500)], 1, id="once more to the same step"),
        pytest.param(
            [past(step=500), past(step=500), past("", step=480)], 2, id="never beyond step 500"
        ),
        pytest.param([past(step=500), past("", step=700)], 0, id="further each time"),
        pytest.param([past(step=500), past("")], 1, id="silent after one that printed"),
        pytest.param([past(seconds=LONG), past("")], 1, id="silent, but the first ran long"),
        pytest.param([past(), past("", seconds=LONG)], 0, id="silent, but the last ran long"),
        pytest.param([past(excluded=True), past("")], 1, id="the nodes were changed between"),
    ],
)
def test_the_row_of_failures_without_progress(attempts: list[Past], row: int) -> None:
    assert fruitless("segfault", attempts) == row


def test_an_attempt_that_others_ended_breaks_the_row_of_failures() -> None:
    attempts = [past(seconds=9.0), past("", seconds=1.0), past(seconds=2.0), past("", seconds=3.0)]
    assert failed_in_a_row(attempts) == [2.0, 3.0]


steps = st.lists(st.integers(0, 50), min_size=1, max_size=12)


@given(steps)
def test_a_job_that_reaches_a_new_step_is_never_fruitless(found: list[int]) -> None:
    attempts = [past(step=step) for step in [*found, max(found) + 1]]
    assert fruitless("segfault", attempts) == 0


@given(steps)
def test_the_row_never_counts_more_than_there_were(found: list[int]) -> None:
    attempts = [past(step=step) for step in found]
    assert 0 <= fruitless("segfault", attempts) <= len(attempts)
