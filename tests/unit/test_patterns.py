"""File name patterns: what needs no Slurm to be checked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ajrd.slurm.patterns import PatternContext, expand_batch, expand_step

JOB = PatternContext(
    job_id=42, job_name="train", user="alice", work_dir="/w", nodes=("n1.site", "n2"), tasks=3
)


def test_an_absolute_pattern_leaves_the_work_directory() -> None:
    assert expand_batch("/logs/%x/%j.out", JOB) == "/logs/train/42.out"


def test_a_job_without_a_pattern_writes_the_default_file() -> None:
    assert expand_batch("", JOB) == "/w/slurm-42.out"
    task = PatternContext(job_id=43, work_dir="/w", array_job_id=42, array_task_id=1)
    assert expand_batch("", task) == "/w/slurm-42_1.out"


def test_a_plain_job_has_the_number_for_no_array_task() -> None:
    assert expand_batch("%A_%a", JOB) == "/w/42_4294967294"


def test_widths_pad_to_ten_digits_at_most() -> None:
    assert expand_batch("%4j-%99j", JOB) == "/w/0042-0000000042"


def test_a_node_name_is_the_short_one() -> None:
    assert expand_batch("%N.out", JOB) == "/w/n1.out"


def test_a_backslash_switches_expansion_off() -> None:
    assert expand_batch("a\\%j", JOB) == "/w/a%j"


def test_a_step_has_a_file_for_each_task_or_node_that_it_names() -> None:
    assert expand_step("%t", JOB) == ["/w/0", "/w/1", "/w/2"]
    assert expand_step("%N-%n", JOB) == ["/w/n1-0", "/w/n2-1"]
    assert len(expand_step("%N-%t", JOB)) == 6
    assert expand_step("%J.%s", JOB) == ["/w/42.0.0"]


def test_a_step_of_a_million_tasks_is_bounded() -> None:
    big = PatternContext(job_id=1, tasks=10**12, nodes=("n1",))
    assert len(expand_step("%t", big, limit=10)) == 10


def test_a_value_with_conversions_in_it_is_not_expanded_again() -> None:
    job = PatternContext(job_id=1, job_name="%j%u", user="bob", work_dir="/w")
    assert expand_batch("%x", job) == "/w/%j%u"


@given(st.text(alphabet="%0123456789aAjJnNstuxz\\/.", max_size=40))
def test_any_pattern_gives_an_absolute_name(pattern: str) -> None:
    assert expand_batch(pattern, JOB).startswith("/")
    assert all(name.startswith("/") for name in expand_step(pattern, JOB))
