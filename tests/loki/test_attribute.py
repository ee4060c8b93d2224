"""Each entry goes to the attempt that wrote it, or to nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ajrd.config import LokiSection
from ajrd.loki.attribute import AHEAD, NOT_YET, SECOND, SKEW, NotYet, Owner, Roster, nanoseconds
from ajrd.loki.entries import Entry, Stream
from ajrd.loki.watch import labels_of
from ajrd.store.records import AttemptRecord
from tests.unit.samples import T0, at, job


def attempt(number: int, *, idx: int = 0, began: float = 0, nodes: str = "n[1-2]") -> AttemptRecord:
    return AttemptRecord(
        id=number, job=1, idx=idx, state="RUNNING", nodes=nodes, started_at=at(began)
    )


def roster(**changes: Any) -> Roster:
    """Job 7, an array task, and a het job, all in their first attempt since T0."""
    made = Roster(labels_of(LokiSection(url="http://loki", **changes)))
    made.attend(job(std_out="/w/out"), attempt(1), at(100))
    task = job(job_id="20_3", raw_id=23, array_job_id=20)
    made.attend(task, attempt(2, nodes="n3.example.org"), at(100))
    made.attend(job(job_id="30", raw_id=30, components=(30, 31)), attempt(3), at(100))
    return made


def entry(seconds: float = 50, line: str = "", **labels: str) -> Entry:
    return Entry(Stream(labels), nanoseconds(T0) + int(seconds * SECOND), line, "")


def owner(found: Owner | NotYet | None) -> int | None:
    assert not isinstance(found, NotYet)
    return None if found is None else found.attempt


@pytest.mark.parametrize(
    ("labels", "whose"),
    [
        ({"job_id": "7"}, 1),
        ({"slurm_job_id": "7"}, 1),
        ({"job_id": "20_3"}, 2),
        ({"job_id": "23"}, 2),
        ({"job_id": "31"}, 3),
        ({"job_id": "8"}, None),
        ({"job_id": "8", "filename": "/w/out"}, None),
        ({"filename": "/w/out"}, 1),
        ({"filename": "/w/train_7_date_26-11-26.log"}, 1),
        ({"filename": "/w/slurm-20_3.out"}, 2),
        ({"filename": "/w/slurm-20_4.out"}, None),
        ({"filename": "/w/7_31.log"}, None),
        ({"filename": "/w/77.log"}, None),
        ({"node": "n1"}, None),
        ({}, None),
    ],
)
def test_a_job_is_named_by_a_label_or_by_its_file(
    labels: dict[str, str], whose: int | None
) -> None:
    found = roster().whose(Entry(Stream(labels), nanoseconds(at(50)), "", ""))
    assert owner(found) == whose


def test_a_pattern_says_which_number_of_a_file_name_is_the_job_s() -> None:
    made = roster(file_pattern=r"^run-\d+-(?P<job>\d+)\.log$")
    assert owner(made.whose(entry(filename="/w/run-30-7.log"))) == 1


def test_a_pattern_finds_the_job_in_a_line_that_names_it_nowhere_else() -> None:
    made = roster(line_pattern=r"^\[job (?P<job>\d+)\]")
    assert owner(made.whose(entry(line="[job 7] crashed", host="n1"))) == 1
    assert owner(made.whose(entry(line="[job 8] crashed", host="n1"))) is None


def test_the_newest_attempt_that_had_begun_wrote_it() -> None:
    made = roster()
    made.attend(job(restarts=1), attempt(9, idx=1, began=60), at(100))
    assert owner(made.whose(entry(59.9, job_id="7"))) == 1
    assert owner(made.whose(entry(60, job_id="7"))) == 9


def test_clocks_are_blamed_before_the_first_attempt_alone() -> None:
    made = roster()
    assert owner(made.whose(entry(-SKEW, job_id="7"))) == 1
    assert owner(made.whose(entry(-SKEW - 1, job_id="7"))) is None
    later = Roster(made.labels)
    later.attend(job(restarts=1), attempt(9, idx=1, began=60), at(100))
    assert owner(later.whose(entry(59.9, job_id="7"))) is None


def test_what_is_later_than_the_last_look_has_to_wait() -> None:
    made = roster()
    assert owner(made.whose(entry(100 + AHEAD, job_id="7"))) == 1
    assert made.whose(entry(100.1 + AHEAD, job_id="7")) is NOT_YET
    made.attend(job(), attempt(1), at(101))
    assert owner(made.whose(entry(100.1 + AHEAD, job_id="7"))) == 1


def test_a_left_attempt_still_gets_what_comes_late_until_it_is_forgotten() -> None:
    made = roster()
    made.leave(1, at(100))
    assert owner(made.whose(entry(99, job_id="7"))) == 1
    made.forget([1])
    assert made.whose(entry(99, job_id="7")) is None


def test_an_id_that_was_taken_by_another_job_goes_to_that_from_its_start_on() -> None:
    made = roster()
    made.leave(1, at(60))
    made.attend(job(submit_time=at(80)), attempt(9, began=80), at(100))
    assert owner(made.whose(entry(50, job_id="7"))) == 1
    assert owner(made.whose(entry(81, job_id="7"))) == 9


@pytest.mark.parametrize("name", ["n1", "N1", "n1.example.org"])
def test_a_node_s_log_is_of_all_attempts_on_it(name: str) -> None:
    found = roster().on_node(entry(node=name))
    assert [each.attempt for each in found] == [1, 3]


def test_a_node_of_the_list_may_have_its_full_name() -> None:
    assert [each.attempt for each in roster().on_node(entry(host="n3"))] == [2]


def test_a_node_s_log_from_before_the_job_is_not_its() -> None:
    assert roster().on_node(entry(-1, node="n1")) == []
    assert roster().on_node(entry(100.1 + AHEAD, node="n1")) == []


def test_an_attempt_whose_nodes_become_known_is_found_by_them() -> None:
    made = Roster(roster().labels)
    assert made.attend(job(nodes=""), attempt(1, nodes=""), at(1))
    assert not made.attend(job(), attempt(1), at(2))
    assert [each.attempt for each in made.on_node(entry(2, node="n2"))] == [1]
    assert made.attempts[1].until == nanoseconds(at(2) + timedelta(seconds=AHEAD))
