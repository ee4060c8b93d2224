"""The job comment: what it may say, and what is answered to everything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.model import Directive, ResumeMode
from ajrd.policy.directive import Limits, NotManaged, parse_directive

LIMITS = Limits(default_requeue_times=3, ceiling=10)


def parse(comment: str) -> Directive | NotManaged:
    return parse_directive(comment, LIMITS)


def comment(**aps: object) -> str:
    return json.dumps({"APS": aps})


def refused(text: str) -> NotManaged:
    result = parse(text)
    assert isinstance(result, NotManaged)
    return result


def test_the_verification_jobs_comment_is_understood() -> None:
    text = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'
    assert parse(text) == Directive(mode=ResumeMode.REQUEUE, max_requeue_times=1)


def test_the_site_default_stands_in_for_a_missing_number() -> None:
    result = parse(comment(auto_resume_mode="singleton_dependency"))
    assert result == Directive(mode=ResumeMode.SINGLETON, max_requeue_times=3)


def test_a_number_above_the_ceiling_is_lowered_and_the_owner_told() -> None:
    result = parse(comment(auto_resume_mode="requeue", max_requeue_times=50))
    assert isinstance(result, Directive)
    assert result.max_requeue_times == 10
    assert "lowered to the site's ceiling 10" in result.notes[0]


def test_unknown_keys_are_named_not_obeyed() -> None:
    result = parse(comment(auto_resume_mode="requeue", max_requeue_time=1))
    assert isinstance(result, Directive)
    assert result.max_requeue_times == 3
    assert "max_requeue_time" in result.notes[0]


@pytest.mark.parametrize("text", ["", "my favourite job", '{"other": 1}', '{"x": "APS"}', "[]"])
def test_a_comment_without_the_key_asks_for_nothing(text: str) -> None:
    result = refused(text)
    assert not result.malformed or "APS" in text


def test_an_absent_mode_means_not_managed() -> None:
    assert not refused(comment(max_requeue_times=2)).malformed


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ('{"APS": {"auto_resume_mode": "requeue"', "not JSON", 38),
        ("APS: requeue", "not JSON", 0),
        ('{"APS": 5}', "must be an object, not a number", 1),
        ('{"APS": null}', "must be an object, not null", 1),
        ('{"APS": {"auto_resume_mode": 1}}', "must be a string", 9),
        ('{"APS": {"auto_resume_mode": "restart"}}', 'must be "requeue" or', 9),
        (
            '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": -1}}',
            "must not be negative",
            40,
        ),
        (
            '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 99999999999}}',
            "is larger than 1000",
            40,
        ),
        (
            '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": true}}',
            "must be a whole number, not a boolean",
            40,
        ),
        (
            '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1.5}}',
            "must be a whole number",
            40,
        ),
        ('{"APS": {"auto_resume_mode": "requeue", "log_paths": [1]}}', "list of strings", 40),
        ('{"APS": {}, "APS": {}}', "stands twice", 12),
        ('{"APS": {"auto_resume_mode": NaN}}', "NaN is not JSON", 0),
    ],
)
def test_a_malformed_directive_is_refused_with_its_position(
    text: str, reason: str, position: int
) -> None:
    result = refused(text)
    assert result.malformed
    assert reason in result.reason
    assert result.position == position


def test_deep_nesting_is_refused_before_it_is_parsed() -> None:
    result = refused('{"APS": ' + "[" * 1_000)
    assert "nested deeper" in result.reason
    assert result.position == 23


def test_a_comment_of_a_megabyte_is_refused_before_it_is_parsed() -> None:
    result = refused('{"APS": "' + "x" * 1_000_000 + '"}')
    assert "1000011 characters" in result.reason


def test_an_integer_of_a_million_digits_is_refused() -> None:
    text = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": ' + "9" * 60_000 + "}}"
    assert refused(text).malformed


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.text() | _json.map(lambda value: json.dumps({"APS": value})))
def test_no_comment_makes_the_parser_raise(text: str) -> None:
    result = parse(text)
    if isinstance(result, Directive):
        assert 0 <= result.max_requeue_times <= LIMITS.ceiling


@given(st.dictionaries(st.sampled_from(["auto_resume_mode", "max_requeue_times", "x"]), _json))
def test_what_is_accepted_never_exceeds_the_ceiling(aps: dict[str, object]) -> None:
    result = parse(json.dumps({"APS": {"auto_resume_mode": "requeue"} | aps}))
    if isinstance(result, Directive):
        assert result.max_requeue_times <= LIMITS.ceiling


def test_a_pattern_of_progress_is_taken_as_it_is_written() -> None:
    asked = parse(comment(auto_resume_mode="requeue", progress="^cycle [0-9]+"))
    assert isinstance(asked, Directive)
    assert asked.progress == "^cycle [0-9]+"
    two = refused(comment(auto_resume_mode="requeue", progress=["a", "b"]))
    assert two.reason.startswith("malformed directive: APS.progress has 2 entries")
