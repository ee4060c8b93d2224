"""The filters hold nothing back that a rule speaks of, and are written as Loki reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.detector import Detector
from ajrd.detect.engine import compile_engine
from ajrd.detect.rule import AnyRule, Rule
from ajrd.loki.logql import alternatives, filters_of, literal, narrowed, pieces, queries
from ajrd.model import Kind, Recovery, Role
from tests.loki.double import Stored, parse

CATALOGUE = Catalogue.load()
FILTERS = filters_of(CATALOGUE)
ENGINE = compile_engine(CATALOGUE)
SELECTOR = '{job="slurm"}'


def passes(asked: tuple[str, ...], line: str) -> bool:
    """Does Loki let a line through in one of the queries?"""
    entry = Stored(0, line, {}, {"job": "slurm"})
    return any(parse(logql).select(entry.labels, [entry]) for logql in asked)


JOBS = queries(SELECTOR, FILTERS.suspicious, 4000)
PROGRESS = queries(SELECTOR, FILTERS.progress, 4000)
NODES = queries(SELECTOR, FILTERS.nodes, 4000)


@pytest.mark.parametrize("rule", CATALOGUE.every, ids=lambda rule: rule.id)
def test_the_examples_of_each_rule_pass(rule: AnyRule) -> None:
    asked = JOBS if isinstance(rule, Rule) else PROGRESS
    assert [line for line in rule.examples if not passes(asked, line)] == []


@pytest.mark.parametrize("domain", ["kernel", "gpu"])
def test_what_kernels_say_passes_the_filter_of_node_logs(domain: str) -> None:
    rules = [rule for rule in CATALOGUE.rules if rule.id.startswith(f"{domain}.")]
    assert [line for r in rules for line in r.examples if not passes(NODES, line)] == []


#: Pieces of real lines in arbitrary company: often enough a rule speaks of the result.
words = st.sampled_from(
    [word for rule in CATALOGUE.rules for line in rule.examples for word in line.split(" ")]
)
examples = st.sampled_from([line for rule in CATALOGUE.rules for line in rule.examples])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(words, examples, st.text(max_size=5)), min_size=1, max_size=6))
def test_whatever_a_rule_speaks_of_passes(parts: list[str]) -> None:
    line = " ".join(parts).replace("\n", " ")
    found = Detector(ENGINE).feed(line.encode("utf-8", "replace") + b"\n", 0, 0).found
    assert not found or passes(JOBS, line)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii"), min_size=6, max_size=30), max_size=20))
def test_every_text_holds_a_piece(texts: list[str]) -> None:
    chosen = pieces(texts)
    assert all(any(piece in text for piece in chosen) for text in texts)


def test_few_healthy_lines_pass() -> None:
    healthy = (Path(__file__).parents[2] / "ajrd/rules/everyday.txt").read_text().splitlines()
    passed = [line for line in healthy if passes(JOBS, line)]
    assert len(passed) < len(healthy) / 3


def test_no_query_is_longer_than_it_may_be() -> None:
    assert all(len(logql) <= 4000 for logql in (*JOBS, *PROGRESS, *NODES))
    assert all(len(logql) <= 1500 for logql in queries(SELECTOR, ("a" * 40,) * 200, 1500))


def test_nothing_to_look_for_is_nothing_to_ask() -> None:
    assert queries(SELECTOR, (), 4000) == ()


@pytest.mark.parametrize("sign", ["`", "\\`", '"', "\\", "{", "é"])
def test_any_sign_of_a_pattern_can_be_asked_for(sign: str) -> None:
    pattern = sign if sign == "\\`" else re2.escape(sign)
    asked = queries(SELECTOR, (f"(?im:ends with {pattern}$)",), 4000)
    assert passes(asked, f"it ends with {sign[-1]}")
    assert not passes(asked, "it ends with nothing")


@given(st.text(max_size=20))
def test_any_value_can_be_a_label_s(value: str) -> None:
    entry = Stored(0, "line", {"job_id": value}, {"job": "slurm"})
    logql = narrowed(SELECTOR, "job_id", value)
    assert parse(logql).select(entry.labels, [entry]) == [entry]
    assert literal(value)[0] == literal(value)[-1]


def test_a_site_s_rule_is_asked_for_at_once() -> None:
    rule = Rule(
        id="site.flux",
        kind=Kind.HARDWARE,
        cause="flux",
        role=Role.ROOT,
        recovery=Recovery.REQUEUE,
        patterns=("flux capacitor (?:over|under)loaded",),
    )
    asked = queries(SELECTOR, alternatives([rule]), 4000)
    assert passes(asked, "Flux Capacitor overloaded")
    assert not passes(asked, "all is well")
