"""``ajrd doctor`` as people and programs read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ajrd.cli.main import cli
from ajrd.doctor.check import Check, Finding, Group, Verdict, fail, ok, skip, warn
from ajrd.doctor.report import as_document, as_lines
from tests.doctor.conftest import configure

HOSTILE = "\x1b[2J\x9b31m\u202eevil\nfail  forged"


def run(config: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", "--config", str(config), *options])


def verdicts(*findings: Finding) -> list[Verdict]:
    check: Check[Any] = Check("name", Group.HOST, "about", None, None, "x")  # type: ignore[arg-type]
    return [Verdict(check, each) for each in findings]


def test_a_line_for_each_and_below_it_what_mends() -> None:
    found = verdicts(ok("fine"), warn("low", "raise it"), fail("broken", "mend it"), skip("none"))
    assert list(as_lines(found, colours=False)) == [
        "host",
        "  ok    name              fine",
        "  warn  name              low",
        "                          -> raise it",
        "  fail  name              broken",
        "                          -> mend it",
        "  skip  name              none",
        "1 ok, 1 warn, 1 fail, 1 skip",
    ]


def test_colours_are_for_terminals_alone(config: Path) -> None:
    lines = list(as_lines(verdicts(fail("broken", "mend it")), colours=True))
    assert lines[1].startswith("  \x1b[31mfail\x1b[0m  name")
    assert "\x1b" not in run(config).output


def test_text_of_strangers_reaches_neither_terminal_nor_a_line_of_its_own() -> None:
    found = verdicts(fail(HOSTILE, HOSTILE), Finding(ok("x").level, "x", detail=HOSTILE))
    for line in as_lines(found, colours=False):
        assert line.isprintable()
        assert not line.startswith("fail")
    for each in as_document(found)["checks"]:
        assert each["found"].isprintable()
        assert each["mend"].isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No such file"),
        ("recovery: {mode: perhaps}\n", "recovery.mode"),
        ("- \x1b[2J\n", "not YAML"),
        (b"\xff\xfe\x00", "cannot read the configuration"),
        (f"{{\x22a{HOSTILE[3:]}\x22: 1}}".encode("utf-8", "replace"), "config.yaml"),
    ],
)
def test_without_a_configuration_the_host_is_still_looked_at(
    tmp_path: Path, text: str | bytes | None, words: str
) -> None:
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(file, "--json")
    assert done.exit_code == 2, done.output
    found = {each["name"]: each for each in json.loads(done.output)["checks"]}
    assert words in found["config"]["found"]
    assert found["config"]["found"].isprintable()
    assert found["config"]["mend"] == f"ajrd config check {file}"
    assert (found["reach"]["level"], found["python"]["level"]) == ("skip", "ok")


def test_json_has_all_that_the_lines_have(config: Path) -> None:
    configure(config, slurm={"bin_dir": "/nonexistent"}, loki={"url": "http://127.0.0.1:1"})
    done = run(config, "--json")
    assert done.exit_code == 1
    told = json.loads(done.output)
    shown = run(config).output
    for each in told["checks"]:
        assert each["name"] in shown
        assert each["level"] in ("ok", "warn", "fail", "skip")
        assert bool(each["mend"]) is (each["level"] in ("warn", "fail")), each
    assert sum(told["counts"].values()) == len(told["checks"])
    commands = next(each for each in told["checks"] if each["name"] == "commands")
    assert commands["level"] == "fail"


def test_a_wrong_option_is_a_matter_of_usage(config: Path) -> None:
    assert run(config, "--nonsense").exit_code == 2
