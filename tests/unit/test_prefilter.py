"""The texts that a pattern cannot do without: never one too many."""

from __future__ import annotations

import pytest

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.pattern import groupless
from ajrd.detect.prefilter import required_texts

CATALOGUE = Catalogue.load()


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        (r"Bus error \(core dumped\)", {"bus error (core dumped)"}),
        (r"Bus error", {"bus error"}),
        (r"NCCL error", None),
        (r"rank ?\d+\b.{0,40}segmentation fault", {"segmentation fault"}),
        (r"caught by (?:a hook|the kernel)", {"caught by a hook", "caught by the kernel"}),
        (r"exit ?code\s*: -11\b", {"exitcode", "exit code"}),
        (r"(?:signal )?aborted", None),
        (r"\bfoo[0-9]{2}bar", None),
        (r".*", None),
        (r"(?:segmentation fault|bus)", None),
        (r"out of memory|oom-killer", {"out of memory", "oom-killer"}),
        (r"(?:abcdefgh)?ijklmnop", {"ijklmnop", "abcdefghijklmnop"}),
        (r"(?:abcdefgh)*ijklmnop", {"ijklmnop"}),
        (r"(?:abcdefgh)+", {"abcdefgh"}),
        (r"colou?r of [ab] thing", {f"colo{u}r of {x} thing" for u in ("u", "") for x in "ab"}),
        (r"[[:alpha:]]xyzzyx", None),
        (r"a{5}", None),
    ],
)
def test_the_texts_of(pattern: str, texts: set[str] | None) -> None:
    found = required_texts(pattern, sensitive=False)
    assert (found and set(found)) == texts


def test_a_sensitive_pattern_keeps_its_case() -> None:
    assert required_texts("Traceback", sensitive=True) == frozenset({"Traceback"})


@pytest.mark.parametrize("rule", CATALOGUE.rules, ids=lambda rule: rule.id)
def test_every_example_of_a_rule_holds_a_text_of_one_of_its_patterns(rule: object) -> None:
    sensitive = rule.sensitive  # type: ignore[attr-defined]
    patterns = rule.patterns  # type: ignore[attr-defined]
    known = [required_texts(groupless(p), sensitive=sensitive) for p in patterns]
    if None in known:
        return
    for example in rule.examples:  # type: ignore[attr-defined]
        line = example if sensitive else example.lower()
        assert any(text in line for texts in known for text in texts or ()), example
