"""The detector of one file: places, context, what is shown, and how much is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.compiled import CompiledProgress
from ajrd.detect.detector import CAP, Detector
from ajrd.detect.engine import HyperscanEngine
from ajrd.detect.pattern import PatternError
from ajrd.detect.rule import ProgressRule

ENGINE = HyperscanEngine(Catalogue.load(), Path("/nonexistent"))
CRASH = b"Rank0: (1) segmentation fault: artificial segfault"
STEP = b" iteration %8d/  100 | elapsed time per iteration (ms): 27.0\n"


@pytest.fixture
def detector() -> Detector:
    return Detector(ENGINE)


def test_a_finding_names_its_line_and_byte_in_the_whole_file(detector: Detector) -> None:
    found = detector.feed(b"one\ntwo\n" + CRASH + b"\nfour\n", 1000, 20).found
    assert [(f.offset, f.line_no) for f in found] == [(1008, 23)]


def test_complete_lines_are_counted_whatever_is_found(detector: Detector) -> None:
    assert detector.feed(b"a\nb\nc", 0, 0).lines == 2


def test_context_is_three_lines_on_either_side_and_reaches_into_earlier_blocks(
    detector: Detector,
) -> None:
    detector.feed(b"a\nb\n", 0, 0)
    detector.feed(b"c\n", 4, 2)
    (finding,) = detector.feed(b"d\n" + CRASH + b"\ne\nf\ng\nh\n", 6, 3).found
    assert finding.before == ("b", "c", "d")
    assert finding.after == ("e", "f", "g")


def test_a_crash_glued_to_a_progress_bar_is_shown_without_the_bar(detector: Detector) -> None:
    bar = b"".join(b"\r%3d%%|###  | %d/100 [00:01<00:09, 9.9it/s]" % (n, n) for n in range(50))
    (finding,) = detector.feed(b"x\n" + bar + b"\r" + CRASH + b"\r\n", 0, 0).found
    assert finding.text == CRASH.decode()
    assert (finding.offset, finding.line_no) == (2, 2)


def test_what_vetoes_one_piece_of_an_overwritten_line_does_not_veto_another(
    detector: Detector,
) -> None:
    line = b"terminate called after throwing an instance of 'c10::Error'\rSignal: Aborted (6)\n"
    assert [finding.text for finding in detector.feed(line, 0, 0).found] == ["Signal: Aborted (6)"]


def test_nothing_that_acts_on_a_terminal_is_shown(detector: Detector) -> None:
    evil = b"\x1b[31m\x1b]0;title\x07\x1b[2J" + CRASH + b"\x9b\x00\xff\xe2\x80\xae\x07\ttail"
    (finding,) = detector.feed(evil + b"\nnext\x1b[1A\x85\n", 0, 0).found
    shown = "".join((finding.text, *finding.after, *finding.facts.values()))
    assert shown.isprintable()
    assert "\u202e" not in shown
    assert finding.text.startswith(CRASH.decode())


def test_of_a_long_line_the_surroundings_of_the_match_are_shown(detector: Detector) -> None:
    line = b"x" * 30000 + b" " + CRASH + b" " + b"y" * 30000 + b"\n"
    (finding,) = detector.feed(line, 0, 0).found
    assert CRASH.decode() in finding.text
    assert len(finding.text) < 2100


def test_an_unterminated_line_is_judged_as_it_stands(detector: Detector) -> None:
    assert [f.line_no for f in detector.feed(b"one\n" + CRASH, 0, 0).found] == [2]


def test_the_newest_progress_of_a_block_is_told_with_its_step(detector: Detector) -> None:
    block = b"".join(STEP % n for n in range(1, 500)) + b"talk\n" * 9000
    progress = detector.feed(block, 100, 7).progress
    assert progress is not None
    assert (progress.step, progress.line_no) == (499, 506)
    assert progress.offset == 100 + block.index(STEP % 499)


def test_progress_in_an_overwritten_line_is_its_last_piece(detector: Detector) -> None:
    bar = b"".join(b"\r%3d%%|###  | %d/100 [00:01<00:09, 9.9it/s]" % (n, n) for n in range(50))
    progress = detector.feed(bar + b"\n", 0, 0).progress
    assert progress is not None
    assert progress.step == 49
    assert progress.text == " 49%|###  | 49/100 [00:01<00:09, 9.9it/s]"


def test_a_rule_that_speaks_too_often_is_silenced(detector: Detector) -> None:
    first = detector.feed((CRASH + b"\n") * (CAP + 50), 0, 0)
    more = detector.feed((CRASH + b"\n") * 50, 10**6, CAP + 50)
    assert (len(first.found), len(more.found)) == (CAP, 0)
    assert detector.suppressed == {"crash.segfault": 1}


def test_a_silenced_rule_does_not_silence_others(detector: Detector) -> None:
    detector.feed((CRASH + b"\n") * CAP, 0, 0)
    found = detector.feed(CRASH + b"\nCUDA out of memory\n", 10**6, CAP).found
    assert [finding.rule for finding in found] == ["gpu.oom"]


def test_after_progress_a_silenced_rule_tells_its_newest_line_once_more(
    detector: Detector,
) -> None:
    detector.feed((CRASH + b"\n") * CAP, 0, 0)
    detector.feed(STEP % 5, 10**6, CAP)
    block = (CRASH + b"\n") * 3 + b"quiet\n" * 9000
    found = detector.feed(block, 2 * 10**6, CAP + 1).found
    again = detector.feed(block, 3 * 10**6, CAP + 9004).found
    assert [(f.line_no, f.offset) for f in found] == [(CAP + 4, 2 * 10**6 + 2 * (len(CRASH) + 1))]
    assert again == ()


def test_progress_is_not_read_across_two_lines() -> None:
    rule = ProgressRule(id="site.step", pattern=r"step\s+(?P<step>\d+)")
    detector = Detector(HyperscanEngine(Catalogue((), (rule,)), Path("/nonexistent")))
    assert detector.feed(b"next step\n17 left\n", 0, 0).progress is None
    assert detector.feed(b"step 17\n", 18, 2).progress is not None


def test_the_owners_own_form_of_progress_counts_beside_those_of_the_catalogue() -> None:
    own = CompiledProgress.of_owner(r"cycle (?P<step>\d+) done")
    progress = Detector(ENGINE, own).feed(STEP % 5 + b"cycle 17 done\nx\n", 0, 0).progress
    assert progress is not None
    assert (progress.step, progress.line_no) == (17, 2)


@pytest.mark.parametrize("pattern", [r"(?:a{1000}){1000}", r"(?:(?:(?:a|b){200}){200}){200}", "("])
def test_a_pattern_built_to_explode_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        CompiledProgress.of_owner(pattern)


def test_a_pattern_built_to_backtrack_takes_linear_time() -> None:
    own = CompiledProgress.of_owner(r"(?:a+)+$|(?:a|aa)+b|(?:.*){20}x")
    assert Detector(ENGINE, own).feed(b"a" * 60_000 + b"!\n", 0, 0).progress is None
