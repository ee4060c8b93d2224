"""From verdicts on labelled excerpts to figures. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ajrd.model import Recovery, Verdict

BENIGN = "benign"
_WANTED = {"yes": Recovery.REQUEUE, "node": Recovery.REQUEUE_EXCLUDE, "no": Recovery.STOP}
#: What many sites grep their logs for.
GREP = re.compile(r"error|fail|fault|killed|abort", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One excerpt with its label. ``key_line`` is 0-based; None of both for benign ones."""

    id: str
    text: str
    label: str
    recoverable: str | None
    key_line: int | None

    @property
    def benign(self) -> bool:
        """Nothing is wrong in it."""
        return self.label == BENIGN


@dataclass(frozen=True, slots=True)
class Judged:
    """An excerpt and what the catalogue made of it."""

    sample: Sample
    verdict: Verdict

    @property
    def alarm(self) -> bool:
        """Was anything found wrong?"""
        return self.verdict.cause is not None

    @property
    def cause_right(self) -> bool:
        """The label, and no other."""
        return self.verdict.cause == self.sample.label

    @property
    def recovery_right(self) -> bool:
        """What another attempt needs."""
        return self.verdict.recovery is _WANTED.get(self.sample.recoverable or "", Recovery.NONE)

    @property
    def line_right(self) -> bool:
        """The line that proves it, within one line."""
        finding, key = self.verdict.finding, self.sample.key_line
        return finding is not None and key is not None and abs(finding.line_no - 1 - key) <= 1


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares between 0 and 1; of failures but for ``false_alarms``, which is of benign ones."""

    failures: int
    benign: int
    recall: float
    cause: float
    recovery: float
    line: float
    macro_f1: float
    false_alarms: float
    grep_recall: float
    grep_false_alarms: float


def score(judged: Sequence[Judged]) -> Scores:
    """All figures of one corpus."""
    failures = [one for one in judged if not one.sample.benign]
    benign = [one for one in judged if one.sample.benign]
    return Scores(
        failures=len(failures),
        benign=len(benign),
        recall=_share([one.alarm for one in failures]),
        cause=_share([one.cause_right for one in failures]),
        recovery=_share([one.recovery_right for one in failures]),
        line=_share([one.line_right for one in failures]),
        macro_f1=_macro_f1(judged),
        false_alarms=_share([one.alarm for one in benign]),
        grep_recall=_share([bool(GREP.search(one.sample.text)) for one in failures]),
        grep_false_alarms=_share([bool(GREP.search(one.sample.text)) for one in benign]),
    )


def f1_of(label: str, judged: Sequence[Judged]) -> float:
    """The harmonic mean of precision and recall of one label."""
    said = Counter((_said(one) == label, one.sample.label == label) for one in judged)
    right, wrong, missed = said[True, True], said[True, False], said[False, True]
    return 2 * right / (2 * right + wrong + missed) if right else 0.0


def _macro_f1(judged: Sequence[Judged]) -> float:
    labels = sorted({one.sample.label for one in judged})
    return sum(f1_of(label, judged) for label in labels) / len(labels) if labels else 0.0


def _said(one: Judged) -> str:
    return one.verdict.cause or BENIGN


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0
