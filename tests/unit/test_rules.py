"""The catalogue: each rule keeps its own promises, and rule files are refused with a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.classify import classify
from ajrd.detect.detector import Detector
from ajrd.detect.engine import Engine, compile_engine
from ajrd.detect.rule import ProgressRule, Rule
from ajrd.errors import ConfigError
from ajrd.model import Anomaly, Finding, Recovery, Role

from .samples import at

CATALOGUE = Catalogue.load()
RULE = """\
rules:
  - id: site.meltdown
    kind: CRASH
    cause: meltdown
    role: root
    recovery: requeue
    patterns: ['reactor meltdown']
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return compile_engine(CATALOGUE, tmp_path_factory.mktemp("cache"))


def found_in(engine: Engine, line: str) -> tuple[Finding, ...]:
    return Detector(engine).feed(line.encode() + b"\n", 0, 0).found


def every(kind: str) -> list[object]:
    return [
        pytest.param(rule, line, id=f"{rule.id}-{number}")
        for rule in CATALOGUE.rules
        for number, line in enumerate(getattr(rule, kind))
    ]


def every_progress(kind: str) -> list[object]:
    return [
        pytest.param(rule, line, id=f"{rule.id}-{number}")
        for rule in CATALOGUE.progress
        for number, line in enumerate(getattr(rule, kind))
    ]


@pytest.mark.parametrize("rule", CATALOGUE.rules, ids=lambda rule: rule.id)
def test_each_rule_says_why_it_is_safe_whence_it_comes_and_how_it_looks(rule: Rule) -> None:
    assert all((rule.safety, rule.source, rule.examples, rule.near_misses))


@pytest.mark.parametrize(("rule", "line"), every("examples"))
def test_an_example_is_found_by_its_rule_and_leads_to_its_verdict(
    engine: Engine, rule: Rule, line: str
) -> None:
    found = found_in(engine, line)
    verdict = classify([Anomaly(finding, "a.log", at(0)) for finding in found])
    assert rule.id in {finding.rule for finding in found}
    if rule.recovery is not Recovery.NONE:
        assert (verdict.cause, verdict.recovery) == (rule.cause, rule.recovery)


@pytest.mark.parametrize(("rule", "line"), every("near_misses"))
def test_a_near_miss_is_not_found_by_its_rule(engine: Engine, rule: Rule, line: str) -> None:
    assert rule.id not in {finding.rule for finding in found_in(engine, line)}


@pytest.mark.parametrize(("rule", "line"), every_progress("examples"))
def test_an_example_of_progress_is_progress_and_no_anomaly(
    engine: Engine, rule: ProgressRule, line: str
) -> None:
    findings = Detector(engine).feed(line.encode() + b"\n", 0, 0)
    assert findings.progress is not None
    assert not findings.found


@pytest.mark.parametrize(("rule", "line"), every_progress("near_misses"))
def test_a_near_miss_of_progress_is_none(engine: Engine, rule: ProgressRule, line: str) -> None:
    assert Detector(engine).feed(line.encode() + b"\n", 0, 0).progress is None


def test_the_artificial_segfault_of_a_rank_asks_for_a_requeue(engine: Engine) -> None:
    (finding,) = found_in(engine, "Rank0: (1) segmentation fault: artificial segfault")
    assert (finding.kind, finding.cause) == ("CRASH", "segfault")
    assert (finding.role, finding.recovery) == (Role.ROOT, Recovery.REQUEUE)
    assert finding.facts == {"rank": "0"}


def test_facts_name_the_node_the_rank_and_the_gpu(engine: Engine) -> None:
    (task,) = found_in(engine, "srun: error: node-17.x: task 3: Segmentation fault (core dumped)")
    (xid,) = found_in(engine, "NVRM: Xid (PCI:0002:81:00): 79, pid='<unknown>', name=<unknown>, x")
    assert task.facts == {"node": "node-17.x", "rank": "3"}
    assert xid.facts == {"pci": "0002:81:00", "xid": "79"}


def test_a_caught_python_exception_alone_never_begins_anything(engine: Engine) -> None:
    (finding,) = found_in(engine, "ValueError: bad record 17")
    assert finding.role is Role.TEARDOWN


def test_a_job_that_ajrd_ends_itself_shows_nothing_to_act_on(engine: Engine) -> None:
    lines = (
        "error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01T12:00:00 DUE TO JOB REQUEUE ***",
        "error: *** STEP 7.0 ON n1 CANCELLED AT 2026-01-01T12:00:00 ***",
        "srun: error: n1: task 0: Terminated",
    )
    roles = {finding.role for line in lines for finding in found_in(engine, line)}
    assert roles == {Role.TEARDOWN}


def site(tmp_path: Path, text: str, name: str = "site.yaml") -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_site_rule_adds_to_the_catalogue(tmp_path: Path) -> None:
    loaded = Catalogue.load([site(tmp_path, RULE)])
    assert len(loaded.rules) == len(CATALOGUE.rules) + 1
    assert loaded.digest != CATALOGUE.digest


def test_a_site_rule_replaces_the_one_of_its_id(tmp_path: Path) -> None:
    loaded = Catalogue.load([site(tmp_path, RULE.replace("site.meltdown", "crash.segfault"))])
    causes = [rule.cause for rule in loaded.rules if rule.id == "crash.segfault"]
    assert causes == ["meltdown"]
    assert len(loaded.rules) == len(CATALOGUE.rules)


def test_a_site_can_disable_a_rule(tmp_path: Path) -> None:
    loaded = Catalogue.load([site(tmp_path, "disable: [crash.segfault]\n")])
    assert "crash.segfault" not in {rule.id for rule in loaded.rules}


def test_the_digest_does_not_depend_on_where_a_rule_stands(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    first = Catalogue.load([site(one, RULE)])
    second = Catalogue.load([site(two, "\n\n" + RULE, "other.yml")])
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (RULE + "    colour: red\n", 8, "rule site.meltdown: colour: unknown key"),
        (RULE + "    role: root\n", 8, "rule site.meltdown: role: stands twice"),
        (RULE.replace("root", "cause"), 5, "role: must be one of root, cascade"),
        (RULE.replace("    recovery: requeue\n", ""), 2, "the rule has no recovery"),
        (
            RULE.replace("reactor", "(?=reactor)"),
            7,
            "patterns 1: not a usable pattern: invalid perl",
        ),
        (RULE.replace("reactor meltdown", "x*"), 7, "it matches an empty line"),
        (RULE.replace("reactor", "r\u00e9actor"), 7, "only printable ASCII"),
        (RULE.replace("reactor", r"\Areactor"), 7, "not the same in hyperscan and RE2"),
        (RULE.replace("['reactor meltdown']", "[]"), 7, "patterns: must not be empty"),
        (RULE.replace("['reactor meltdown']", "[17]"), 7, "must be text"),
        (RULE.replace("['reactor meltdown']", "reactor"), 7, "patterns: must be a list"),
        (RULE.replace("site.meltdown", "Site Meltdown"), 2, "lower-case words"),
        (RULE + "    examples: ['all is well']\n", 8, "examples 1: does not match the rule"),
        (RULE + "    near_misses: ['Reactor meltdown']\n", 8, "near_misses 1: matches the rule"),
        (RULE + "    case: no\n", 8, "case: "),
        ("disable: [crash.segfalt]\n", 1, "there is no rule 'crash.segfalt' to disable"),
        ("rulez: []\n", 1, "rulez: unknown key"),
        (RULE + RULE[7:], 8, "defined before, in"),
        ("rules: [\n", 2, "not YAML"),
    ],
)
def test_a_faulty_rule_file_is_refused_with_its_place_and_reason(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    folder = site(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        Catalogue.load([folder])
    assert f"{folder}/site.yaml:{line}: " in str(refused.value)
    assert says in str(refused.value)


def test_a_missing_folder_of_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the rules in"):
        Catalogue.load([tmp_path / "none"])
