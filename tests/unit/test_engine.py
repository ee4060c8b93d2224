"""Both engines lead to the same findings, and a kept database is only ever a short cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ajrd.detect import dbcache
from ajrd.detect.catalogue import Catalogue
from ajrd.detect.detector import Detector
from ajrd.detect.engine import Engine, HyperscanEngine, Re2Engine, compile_engine
from ajrd.detect.findings import Findings
from ajrd.detect.rulefile import parse
from ajrd.errors import ConfigError
from ajrd.model import Finding

CATALOGUE = Catalogue.load()
#: Quick to compile, for what does not depend on how many rules there are.
FEW = Catalogue(
    tuple(rule for rule in CATALOGUE.rules if rule.id.startswith("crash.")), CATALOGUE.progress
)
HYPERSCAN = HyperscanEngine(CATALOGUE)
RE2 = Re2Engine(CATALOGUE)

#: Pieces of real forms, so that generated text comes near to matching, across lines, too.
_PIECES = [
    word
    for rule in CATALOGUE.every
    for line in (*rule.examples, *rule.near_misses)
    for word in (line, line[: len(line) // 2], line[len(line) // 2 :])
]
_NOISE = ["\n", "\r", " ", "\t", "\x1b[31m", "\xff", "é", "rank 3 ", "x" * 50, "\x00"]
TEXT = st.lists(st.sampled_from(_PIECES + _NOISE * 20), max_size=40).map("".join)


def feed(engine: Engine, text: str) -> Findings:
    return Detector(engine).feed(text.encode("latin-1", "replace"), 0, 0)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_hyperscan_and_re2_find_the_same_in_any_text(text: str) -> None:
    assert feed(HYPERSCAN, text) == feed(RE2, text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=12))
def test_what_is_found_does_not_depend_on_how_lines_are_put_into_blocks(lines: list[str]) -> None:
    raw = [line.encode() + b"\n" for line in lines]
    whole = Detector(HYPERSCAN).feed(b"".join(raw), 0, 0).found
    single: list[Finding] = []
    offset = 0
    detector = Detector(HYPERSCAN)
    for number, line in enumerate(raw):
        single += detector.feed(line, offset, number).found
        offset += len(line)
    assert [_key(f) for f in single] == [_key(f) for f in whole]


def _key(finding: Finding) -> tuple[object, ...]:
    return tuple(getattr(finding, name) for name in ("rule", "offset", "line_no", "text", "before"))


def test_a_pattern_does_not_match_across_two_lines() -> None:
    text = "NCCL operations: Some NCCL\noperations have failed or timed out\n"
    assert feed(HYPERSCAN, text).found == feed(RE2, text).found == ()


def test_threads_may_share_an_engine() -> None:
    text = "all is well\n" * 20000 + "srun: error: n1: task 3: Segmentation fault (core dumped)\n"
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: feed(HYPERSCAN, text), range(32)))
    assert {len(result.found) for result in results} == {1}


def test_a_kept_database_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_engine(FEW, tmp_path)
    monkeypatch.setattr(dbcache, "_compile", lambda _expressions: pytest.fail("compiled anew"))
    assert found_a_crash(compile_engine(FEW, tmp_path))


@pytest.mark.parametrize("damage", [b"", b"junk", b"\0" * 100000])
def test_a_broken_database_is_compiled_anew(tmp_path: Path, damage: bytes) -> None:
    compile_engine(FEW, tmp_path)
    good = {kept: kept.read_bytes() for kept in tmp_path.iterdir()}
    for kept in good:
        kept.write_bytes(damage)
    assert found_a_crash(compile_engine(FEW, tmp_path))
    assert {kept: kept.read_bytes() for kept in tmp_path.iterdir()} == good


def test_a_database_that_others_may_write_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_engine(FEW, tmp_path)
    for kept in tmp_path.iterdir():
        kept.chmod(0o666)
    loads: list[bytes] = []
    monkeypatch.setattr("hyperscan.loadb", lambda dump, _mode: loads.append(dump))
    assert found_a_crash(compile_engine(FEW, tmp_path))
    assert not loads


def test_a_changed_catalogue_has_a_database_of_its_own(tmp_path: Path) -> None:
    compile_engine(FEW, tmp_path)
    before = set(tmp_path.iterdir())
    compile_engine(Catalogue(FEW.rules[:3], FEW.progress), tmp_path)
    new = {path.suffix for path in set(tmp_path.iterdir()) - before}
    assert new == {".hsdb", ".plan"}


def test_an_unwritable_cache_is_no_error() -> None:
    assert found_a_crash(compile_engine(FEW, Path("/proc/none")))


def test_without_hyperscan_re2_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbcache, "AVAILABLE", False)
    engine = compile_engine(CATALOGUE)
    assert isinstance(engine, Re2Engine)
    assert found_a_crash(engine)


def test_a_pattern_that_hyperscan_refuses_is_named_with_its_rule(tmp_path: Path) -> None:
    text = (
        "rules: [{id: site.odd, kind: CRASH, cause: odd, role: root, recovery: stop, "
        "patterns: ['fine', 'x$y\\d']}]"
    )
    catalogue = Catalogue(parse(text, "site.yaml").rules, CATALOGUE.progress)
    with pytest.raises(ConfigError, match=r"site.yaml:1: rule site.odd: hyperscan refuses 'x"):
        compile_engine(catalogue, tmp_path)


def test_an_empty_catalogue_finds_nothing() -> None:
    assert feed(compile_engine(Catalogue((), ())), "Segmentation fault\n").found == ()


def found_a_crash(engine: Engine) -> bool:
    found = feed(engine, "Rank0: (1) segmentation fault: artificial segfault\n").found
    return [finding.cause for finding in found] == ["segfault"]
