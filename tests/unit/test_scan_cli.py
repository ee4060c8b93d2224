"""``ajrd scan`` and ``ajrd rules`` as other programs call them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from click.testing import CliRunner, Result

from ajrd.cli.rules import rules
from ajrd.cli.scan import scan
from ajrd.errors import ConfigError

CRASH = "Rank0: (1) segmentation fault: artificial segfault\n"
STEP = "iteration 12: loss 3.14\n"


@pytest.fixture(autouse=True)
def _no_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AJRD_CONFIG", str(tmp_path / "none.yaml"))


def run(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(scan, [str(a) for a in arguments], input=stdin)


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def log(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.log"
    path.write_text(text)
    return path


def test_json_gives_each_anomaly_and_then_the_verdict(tmp_path: Path) -> None:
    path = log(tmp_path, "hello\n" + CRASH)
    result = run("--json", path)
    assert result.exit_code == 0
    assert objects(result) == [
        {
            "line": 2,
            "offset": 6,
            "kind": "CRASH",
            "cause": "segfault",
            "role": "root",
            "recovery": "requeue",
            "text": CRASH.strip(),
            "facts": {"rank": "0"},
            "rule": "crash.segfault",
        },
        {
            "verdict": {
                "kind": "CRASH",
                "cause": "segfault",
                "recovery": "requeue",
                "line": 2,
                "reason": "the first root (rule crash.segfault, line 2)",
            },
            "file": str(path),
        },
    ]


def test_a_healthy_log_has_a_verdict_without_a_cause(tmp_path: Path) -> None:
    (only,) = objects(run("--json", log(tmp_path, STEP * 3)))
    assert (only["verdict"]["cause"], only["verdict"]["recovery"]) == (None, "none")


def test_a_crash_that_a_long_stretch_of_progress_followed_is_told_but_not_the_verdict(
    tmp_path: Path,
) -> None:
    found, verdict = objects(run("--json", log(tmp_path, CRASH + STEP * 2000)))
    assert found["cause"] == "segfault"
    assert verdict["verdict"]["cause"] is None


def test_standard_input_is_read_for_a_dash() -> None:
    result = objects(run("--json", "-", stdin=CRASH.encode()))
    assert (result[0]["line"], result[-1]["file"]) == (1, "-")


def test_an_unreadable_file_fails_the_scan_but_not_the_other_files(tmp_path: Path) -> None:
    path = log(tmp_path, CRASH)
    result = run("--json", tmp_path / "missing", path)
    assert result.exit_code == 1
    assert [o["file"] for o in objects(result) if "verdict" in o] == [str(path)]
    assert "No such file or directory" in result.stderr


def test_no_file_is_bad_usage() -> None:
    assert run("--json").exit_code == 2


def test_lines_and_bytes_are_counted_over_many_blocks(tmp_path: Path) -> None:
    head = "a line of no interest\n" * 150_000
    (found, _verdict) = objects(run("--json", log(tmp_path, head + CRASH)))
    assert (found["line"], found["offset"]) == (150_001, len(head))


def test_a_last_line_without_an_end_is_scanned(tmp_path: Path) -> None:
    assert objects(run("--json", log(tmp_path, "x\n" + CRASH.strip())))[0]["line"] == 2


def test_one_endless_line_is_scanned_in_pieces(tmp_path: Path) -> None:
    text = "x" * 3_000_000 + " " + CRASH.strip()
    assert objects(run("--json", log(tmp_path, text)))[-1]["verdict"]["cause"] == "segfault"


def test_without_json_a_person_can_read_it(tmp_path: Path) -> None:
    path = log(tmp_path, CRASH)
    result = run(path)
    assert f"{path}: CRASH segfault -> requeue\n" in result.stdout
    assert f"  1 > {CRASH}" in result.stdout
    assert "another attempt makes sense" in result.stdout
    assert "\x1b" not in result.stdout


def test_all_lists_every_anomaly(tmp_path: Path) -> None:
    text = CRASH + "srun: error: n1: task 3: Segmentation fault (core dumped)\n"
    result = run("--all", log(tmp_path, text))
    assert "[crash.segfault]" in result.stdout
    assert "  2: " in result.stdout


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_packed_files_are_unpacked_whatever_their_name(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(pack(b"hello\n" * 1000 + CRASH.encode()))
    assert objects(run("--json", path))[0]["line"] == 1001
    assert objects(run("--json", "-", stdin=path.read_bytes()))[0]["line"] == 1001


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_a_damaged_packed_file_is_told(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(pack(os.urandom(200_000))[:100_000])
    result = run("--json", path)
    assert result.exit_code == 1
    assert "it is packed and damaged" in result.stderr


def test_a_folder_means_the_files_below_it(tmp_path: Path) -> None:
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "b.log").write_text(STEP)
    (tmp_path / "run" / "deep" / "a.log").write_text(CRASH)
    (tmp_path / "run" / "link.log").symlink_to("b.log")
    os.mkfifo(tmp_path / "run" / "pipe")
    verdicts = [o for o in objects(run("--json", tmp_path / "run")) if "verdict" in o]
    assert [Path(o["file"]).name for o in verdicts] == ["b.log", "a.log"]
    assert [o["verdict"]["cause"] for o in verdicts] == [None, "segfault"]


def test_a_folder_of_site_rules_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "rules.d"
    folder.mkdir()
    (folder / "site.yaml").write_text("disable: [crash.segfault]\n")
    (only,) = objects(run("--json", "--rules", folder, log(tmp_path, CRASH)))
    assert only["verdict"]["cause"] is None


def rules_cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(rules, [str(a) for a in arguments])


def test_rules_check_says_that_the_catalogue_is_right() -> None:
    result = rules_cli("check")
    assert result.exit_code == 0
    assert "right" in result.stdout


def test_rules_check_names_the_fault(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("rulez: []\n")
    result = rules_cli("check", tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert "site.yaml:1: rulez: unknown key" in str(result.exception)


def test_rules_list_has_a_header_unless_it_is_unwanted() -> None:
    full, bare = rules_cli("list"), rules_cli("list", "-n")
    assert full.stdout.splitlines()[0].split() == ["RULE", "KIND", "CAUSE", "ROLE", "RECOVERY"]
    assert full.stdout.splitlines()[1:] == bare.stdout.splitlines()


def test_what_rules_show_prints_is_a_rule_file(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(rules_cli("show", "crash.segfault").stdout)
    (tmp_path / "other.yaml").write_text(rules_cli("show", "progress.bar").stdout)
    assert rules_cli("check", tmp_path).exit_code == 0


def test_an_unknown_rule_cannot_be_shown() -> None:
    assert rules_cli("show", "no.such").exit_code == os.EX_OK + 1


def test_rules_test_says_who_speaks_of_a_line_and_who_is_held_back() -> None:
    result = rules_cli("test", CRASH.strip())
    assert result.exit_code == 0
    assert "  crash.segfault: CRASH segfault, root, requeue, rank 0" in result.stdout
    held = rules_cli("test", "this may end in a Segmentation fault (core dumped)")
    assert "  crash.segfault: excluded" in held.stdout
    assert rules_cli("test", "all is well").exit_code == 1
