"""Where reading begins: evidence of an earlier attempt never acts on a later one."""

from __future__ import annotations

from typing import Any

from ajrd.logs.start import Earlier, FileSeen, Known, start_point
from ajrd.model import ReadPosition

BEGAN = 1000.0
BEFORE, AFTER = 900.0, 1005.0


def position(offset: int = 50, inode: int = 7) -> ReadPosition:
    return ReadPosition("/log", 1, inode, offset, 5, "tail")


def seen(*, agrees: bool = True, mtime: float = AFTER, **changes: Any) -> FileSeen:
    """A file that was there before the attempt and was written in it."""
    values: dict[str, Any] = {
        "inode": 7,
        "size": 80,
        "mtime_ns": int(mtime * 1e9),
        "born": BEFORE,
        "appeared": False,
        "agrees": lambda p: agrees and p.inode == 7,
        "last_line": lambda: 70,
    }
    return FileSeen(**values | changes)


def known(**changes: Any) -> Known:
    values: dict[str, Any] = {"began": BEGAN, "restarts": 1, "name_is_ours": True}
    return Known(**values | changes)


def where(seen: FileSeen, known: Known) -> tuple[int, bool]:
    point = start_point(seen, known)
    return point.offset, point.uncertain


def test_an_attempt_read_before_goes_on_where_it_was() -> None:
    assert where(seen(), known(mine=position())) == (50, False)


def test_an_attempt_read_before_begins_anew_in_a_truncated_file() -> None:
    point = start_point(seen(agrees=False), known(mine=position()))
    assert (point.offset, point.lost) == (0, None)


def test_an_attempt_read_before_looks_for_the_rest_of_a_replaced_file() -> None:
    point = start_point(seen(), known(mine=position(inode=3)))
    assert (point.offset, point.lost) == (0, position(inode=3))


def test_a_file_that_appeared_is_read_whole() -> None:
    assert where(seen(appeared=True), known()) == (0, False)


def test_a_file_made_in_the_attempt_is_read_whole() -> None:
    assert where(seen(born=AFTER), known(earlier=[Earlier(position())])) == (0, False)


def test_a_file_seen_truncated_in_the_attempt_is_read_whole() -> None:
    assert where(seen(), known(truncated_at=AFTER)) == (0, False)
    assert where(seen(), known(truncated_at=BEFORE)) == (80, True)


def test_a_file_not_written_since_the_attempt_began_holds_nothing_of_it() -> None:
    assert where(seen(mtime=BEFORE), known()) == (80, False)
    assert where(seen(mtime=BEFORE), known(restarts=0)) == (80, False)


def test_a_clock_of_a_file_server_that_is_behind_hides_nothing_of_a_first_attempt() -> None:
    late = seen(mtime=BEGAN - 3, born=BEGAN - 4)
    assert where(late, known(restarts=0)) == (0, False)
    assert where(seen(mtime=BEGAN - 3, born=None), known(restarts=0)) == (0, False)
    assert where(late, known(restarts=1)) == (80, False)
    assert where(late, known(restarts=0, name_is_ours=False)) == (80, False)
    assert where(late, known(restarts=0, earlier=[Earlier(position())])) == (80, False)


def test_lines_of_an_older_file_are_counted_from_the_earlier_attempt() -> None:
    point = start_point(seen(mtime=BEFORE), known(earlier=[Earlier(position())]))
    assert (point.offset, point.base) == (80, position())


def test_an_appended_file_is_read_on_behind_an_attempt_that_was_drained() -> None:
    assert where(seen(), known(earlier=[Earlier(position(), 1)])) == (50, False)


def test_an_attempt_drained_after_the_next_had_written_makes_the_border_uncertain() -> None:
    late = Earlier(position(), int(AFTER * 1e9))
    assert where(seen(), known(earlier=[late])) == (50, True)


def test_an_appended_file_is_not_trusted_behind_an_attempt_that_was_not() -> None:
    assert where(seen(), known(earlier=[Earlier(position())])) == (80, True)


def test_a_file_truncated_for_the_attempt_is_read_whole() -> None:
    assert where(seen(agrees=False), known(earlier=[Earlier(position(), 1)])) == (0, False)


def test_a_file_written_anew_with_the_same_bytes_is_read_whole() -> None:
    """A job that fails alike each time prints the same bytes; Slurm has truncated between."""
    drained = Earlier(position(offset=80), int(BEFORE * 1e9))
    assert where(seen(), known(earlier=[drained])) == (0, False)
    assert where(seen(), known(earlier=[Earlier(position(offset=80))])) == (0, False)


def test_an_appended_file_with_nothing_new_in_it_is_read_on() -> None:
    untouched = Earlier(position(offset=80), int(AFTER * 1e9))
    assert where(seen(), known(earlier=[untouched])) == (80, True)
    within_the_second = seen(mtime=BEGAN + 0.5)
    assert where(within_the_second, known(earlier=[Earlier(position(offset=80))])) == (80, True)


def test_the_newest_earlier_attempt_that_agrees_counts() -> None:
    newer, older = Earlier(position(70), 1), Earlier(position(20), 1)
    assert where(seen(), known(earlier=[newer, older])) == (70, False)


def test_the_first_attempt_trusts_a_file_with_the_number_of_its_job() -> None:
    assert where(seen(), known(restarts=0)) == (0, False)


def test_the_first_attempt_does_not_trust_an_old_file_with_any_name() -> None:
    """Another job may have written there, and this one may append."""
    assert where(seen(), known(restarts=0, name_is_ours=False)) == (80, True)


def test_the_first_attempt_reads_a_file_of_unknown_age_but_says_so() -> None:
    assert where(seen(born=None), known(restarts=0, name_is_ours=False)) == (0, True)


def test_the_last_line_is_of_the_attempt_if_it_was_written_well_after_its_start() -> None:
    """Nothing else is certain of a file to which an earlier attempt may have written."""
    written = seen(mtime=BEGAN + 10)
    assert where(written, known()) == (70, True)
    assert where(written, known(earlier=[Earlier(position())])) == (70, True)
    assert where(written, known(earlier=[Earlier(position(75))])) == (75, True)
    assert where(written, known(name_is_ours=False)) == (80, True)


def test_nothing_known_of_a_restarted_job_is_not_guessed() -> None:
    assert where(seen(), known()) == (80, True)
    assert where(seen(born=None), known()) == (80, True)
